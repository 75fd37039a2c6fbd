"""What pages talk to: thin over the library, one file a subject. Pages never open a file, load a model or compute."""

from dashboard.services import answers, availability, jobs, models, plans, samples, scores, similarities

__all__ = ["answers", "availability", "jobs", "models", "plans", "samples", "scores", "similarities"]
