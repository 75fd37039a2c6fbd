"""What `models fetch smol` needs, in small: a random GGUF file, the package around it, eyes for it, and an index."""

import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import gguf
import numpy as np
import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPVisionConfig, CLIPVisionModel, LlamaConfig, LlamaForCausalLM

from core.scenes.scenes import SIZE
from core.vlm.smol.eyes import Eyes, save_eyes
from core.vlm.smol.learner import Learner
from core.vlm.smol.model import UNUSED
from core.vlm.smol.package import Package, file_hash
from core.vlm.tiny.model import PATCH

SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>", UNUSED)
WIDTH, HEADS, KV_HEADS, INNER, LAYERS = 64, 4, 2, 96, 3
MEMBER = "small/small.Q4_1.gguf"
MERGES = ("r e", "re d", "Ġ red", "i n", "e r")


def vocabulary() -> list[str]:
    return [*SPECIAL, *sorted(ByteLevel.alphabet()), *(m.replace(" ", "") for m in MERGES)]


def small_decoder(seed: int = 0) -> LlamaForCausalLM:
    """A random decoder whose matrices are what Q4_1 can hold exactly."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(vocabulary()),
        hidden_size=WIDTH,
        intermediate_size=INNER,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=KV_HEADS,
        head_dim=WIDTH // HEADS,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    model = LlamaForCausalLM(config).eval().requires_grad_(False)
    for name, p in model.named_parameters():
        torch.nn.init.normal_(p, std=0.15) if p.ndim == 2 else torch.nn.init.uniform_(p, 0.8, 1.2)
        if p.ndim == 2 and "embed" not in name:
            p.copy_(torch.from_numpy(_held(p.numpy())))
    return model


def _held(matrix: np.ndarray) -> np.ndarray:
    kind = gguf.GGMLQuantizationType.Q4_1
    return np.asarray(gguf.quants.dequantize(gguf.quants.quantize(matrix, kind), kind), np.float32)


def write_gguf(path: Path, model: LlamaForCausalLM) -> None:
    """As llama.cpp's converter writes it: rotated halves of queries and keys interleaved, matrices in Q4_1."""
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(512)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(len(vocabulary()))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(vocabulary())
    writer.add_token_types([3] * len(SPECIAL) + [1] * (len(vocabulary()) - len(SPECIAL)))
    writer.add_token_merges(list(MERGES))
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(2)
    writer.add_add_bos_token(False)
    names = {
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }
    state = {k: v.numpy() for k, v in model.state_dict().items()}
    writer.add_tensor("token_embd.weight", state["model.embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", state["model.norm.weight"])
    for layer in range(LAYERS):
        for ours, theirs in names.items():
            value = state[f"model.layers.{layer}.{ours}.weight"]
            if theirs in ("attn_q", "attn_k"):
                heads = HEADS if theirs == "attn_q" else KV_HEADS
                shape = (heads, 2, len(value) // heads // 2, WIDTH)
                value = value.reshape(shape).swapaxes(1, 2).reshape(value.shape)
            if value.ndim == 2:
                kind = gguf.GGMLQuantizationType.Q4_1
                writer.add_tensor(f"blk.{layer}.{theirs}.weight", gguf.quants.quantize(value, kind), raw_dtype=kind)
            else:
                writer.add_tensor(f"blk.{layer}.{theirs}.weight", value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def small_package(folder: Path) -> tuple[Package, Path]:
    """A package that holds the file, and the package as a file."""
    write_gguf(folder / Path(MEMBER).name, small_decoder())
    wheel = folder / "small_llm-1.0-py3-none-any.whl"
    info = "small_llm-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.write(folder / Path(MEMBER).name, MEMBER)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: small-llm\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    package = Package(
        name="small-llm",
        version="1.0",
        filename=wheel.name,
        n_bytes=wheel.stat().st_size,
        sha256=file_hash(wheel),
        member=MEMBER,
        member_sha256=file_hash(folder / Path(MEMBER).name),
        licence="Apache-2.0",
        homepage="",
        base_model="small",
    )
    return package, wheel


def small_tower(seed: int = 0) -> CLIPVisionModel:
    torch.manual_seed(seed)
    shape = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2}
    return CLIPVisionModel(CLIPVisionConfig(**shape, image_size=SIZE, patch_size=PATCH, projection_dim=32))


def small_learner(seed: int = 0) -> Learner:
    """Untrained parts whose adapters do something."""
    learner = Learner(small_tower(seed), small_decoder(), rank=2, alpha=4.0, seed=seed)
    for m in learner.adapters.values():
        torch.nn.init.normal_(m.b, std=0.2)
    return learner


def small_eyes(folder: Path) -> Learner:
    learner = small_learner()
    save_eyes(folder, Eyes(learner.state(), {"rank": 2, "alpha": 4.0, "vision_config": learner.tower.config.to_dict()}))
    return learner


@contextmanager
def index(package: Package, content: bytes, sent: int | None = None) -> Iterator[str]:
    """A package index on this machine, at the address that is yielded.

    Args:
        content: the package as it is served; `sent` bytes of it, then the connection ends.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = f'<a href="/files/{package.filename}">{package.filename}</a>'.encode()
            body = content if self.path.startswith("/files/") else page
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[:sent] if body is content else body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/simple"
    finally:
        server.shutdown()
        server.server_close()
