"""Servers that speak OpenAI's chat completions: where they are and what their keys are called."""

from __future__ import annotations

from functools import cache
from types import new_class

from .endpoint import Endpoint
from .openai import ChatOpenAI

__all__ = ["COMPATIBLE", "compatible_model"]


def _at(provider: str, url: str, *keys: str, urls: tuple[str, ...] = (), path: str = "") -> Endpoint:
    return Endpoint(provider=provider, url=url, key_variables=keys, url_variables=urls, path=path)


COMPATIBLE: dict[str, tuple[str, Endpoint]] = {
    # provider: (the name of its class, where it is)
    "baseten": ("ChatBaseten", _at("baseten", "https://inference.baseten.co/v1", "BASETEN_API_KEY")),
    "cohere": ("ChatCohere", _at("cohere", "https://api.cohere.ai/compatibility/v1", "COHERE_API_KEY", "CO_API_KEY")),
    "deepseek": (
        "ChatDeepSeek",
        _at("deepseek", "https://api.deepseek.com/v1", "DEEPSEEK_API_KEY", urls=("DEEPSEEK_API_BASE",)),
    ),
    "fireworks": ("ChatFireworks", _at("fireworks", "https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY")),
    "google_genai": (
        "ChatGoogleGenerativeAI",
        _at(
            "google_genai",
            "https://generativelanguage.googleapis.com/v1beta/openai",
            "GOOGLE_API_KEY",
            "GEMINI_API_KEY",
        ),
    ),
    "groq": ("ChatGroq", _at("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY")),
    "huggingface": (
        "ChatHuggingFace",
        _at("huggingface", "https://router.huggingface.co/v1", "HF_TOKEN", "HUGGINGFACEHUB_API_TOKEN"),
    ),
    # Of one's own, as is vllm.
    "lmstudio": ("ChatLMStudio", _at("lmstudio", "http://localhost:1234/v1", urls=("LMSTUDIO_BASE_URL",), path="/v1")),
    "mistralai": (
        "ChatMistralAI",
        _at("mistralai", "https://api.mistral.ai/v1", "MISTRAL_API_KEY", urls=("MISTRAL_BASE_URL",)),
    ),
    "nvidia": (
        "ChatNVIDIA",
        _at("nvidia", "https://integrate.api.nvidia.com/v1", "NVIDIA_API_KEY", urls=("NVIDIA_BASE_URL",)),
    ),
    # Of one's own: no key. Its variable names the server without the path.
    "ollama": ("ChatOllama", _at("ollama", "http://localhost:11434/v1", urls=("OLLAMA_BASE_URL",), path="/v1")),
    "openrouter": ("ChatOpenRouter", _at("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY")),
    "perplexity": (
        "ChatPerplexity",
        _at("perplexity", "https://api.perplexity.ai", "PPLX_API_KEY", "PERPLEXITY_API_KEY"),
    ),
    "together": ("ChatTogether", _at("together", "https://api.together.xyz/v1", "TOGETHER_API_KEY")),
    "upstage": ("ChatUpstage", _at("upstage", "https://api.upstage.ai/v1", "UPSTAGE_API_KEY")),
    "vllm": ("ChatVLLM", _at("vllm", "http://localhost:8000/v1", urls=("VLLM_BASE_URL",), path="/v1")),
    "xai": ("ChatXAI", _at("xai", "https://api.x.ai/v1", "XAI_API_KEY")),
}


@cache
def compatible_model(provider: str) -> type[ChatOpenAI]:
    """ChatOpenAI at that provider's address, with its key and under its name."""
    name, endpoint = COMPATIBLE[provider]
    namespace = {"__module__": __name__, "__doc__": f"ChatOpenAI at {endpoint.url}.", "_endpoint": endpoint}
    made: type[ChatOpenAI] = new_class(name, (ChatOpenAI,), exec_body=lambda body: body.update(namespace))
    return made
