"""OpenAI's models as Azure serves them: AzureChatOpenAI, AzureOpenAIEmbeddings."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar

from pydantic import Field, SecretStr

from ..errors import InvalidArgument, MissingKey
from .endpoint import Endpoint
from .http import Key, Post
from .openai import ChatOpenAI
from .openai_embeddings import OpenAIEmbeddings
from .wired import Wired

__all__ = ["AzureChatOpenAI", "AzureOpenAIEmbeddings"]

_NAMES = {
    "deployment_name": "azure_deployment",
    "deployment": "azure_deployment",
    "openai_api_version": "api_version",
    "base_url": "azure_endpoint",
    "openai_api_base": "azure_endpoint",
}
_KEYS = ("AZURE_OPENAI_API_KEY", "OPENAI_API_KEY")
_TOKENS = ("azure_ad_token", "azure_ad_token_provider", "azure_ad_async_token_provider")
_WAYS_IN = ("api_key", "azure_openai_api_key", "openai_api_key", "key_provider", *_TOKENS)


class _OnAzure(Wired):
    """Where a resource is on Azure, what of it is asked, and the ways in."""

    azure_deployment: str | None = None
    api_version: str | None = None
    azure_ad_token: SecretStr | None = None
    azure_ad_token_provider: Callable[[], str] | None = Field(default=None, exclude=True, repr=False)
    azure_ad_async_token_provider: Callable[[], Awaitable[str]] | None = Field(default=None, exclude=True, repr=False)

    _endpoint: ClassVar[Endpoint] = Endpoint(
        provider="azure_openai",
        url="",
        key_variables=_KEYS,
        url_variables=("AZURE_OPENAI_ENDPOINT",),
        organization_variables=("OPENAI_ORG_ID", "OPENAI_ORGANIZATION"),
        proxy_variables=("OPENAI_PROXY",),
        key_header="api-key",
    )
    _of_no_use: ClassVar[frozenset[str]] = (
        ChatOpenAI._of_no_use | OpenAIEmbeddings._of_no_use | {"openai_api_type", "model_version", "validate_base_url"}
    ) - {"deployment", "openai_api_version", "tiktoken_model_name"}

    def __init__(self, **settings: Any) -> None:
        for name, ours in _NAMES.items():
            if (value := settings.pop(name, None)) is not None:
                settings.setdefault(ours, value)
        cls = type(self).__name__
        endpoint = settings.pop("azure_endpoint", None) or os.environ.get("AZURE_OPENAI_ENDPOINT")
        if not endpoint:
            raise InvalidArgument(
                f"{cls} needs `azure_endpoint` or AZURE_OPENAI_ENDPOINT, such as 'https://NAME.openai.azure.com'."
            )
        deployment = settings.get("azure_deployment") or settings.get("model") or settings.get("model_name")
        if not deployment:
            raise InvalidArgument(f"{cls} needs `azure_deployment`, the name that your deployment has.")
        if "model_name" not in settings:
            settings.setdefault("model", deployment)
        settings["azure_deployment"] = deployment
        settings["api_version"] = settings.get("api_version") or os.environ.get("OPENAI_API_VERSION")
        settings.setdefault("azure_ad_token", os.environ.get("AZURE_OPENAI_AD_TOKEN"))
        if not any(map(settings.get, _WAYS_IN)) and not any(map(os.environ.get, _KEYS)):
            raise MissingKey(
                "No key for Azure: set AZURE_OPENAI_API_KEY, or give `api_key=`, `azure_ad_token=` or "
                "`azure_ad_token_provider=`.",
                key=_KEYS[0],
            )
        super().__init__(base_url=str(endpoint), **settings)

    @property
    def _secrets(self) -> list[str]:
        token = self.azure_ad_token
        return super()._secrets + ([token.get_secret_value()] if token else [])

    def _fresh_key(self) -> Key | None:
        give = self.azure_ad_token_provider or self.key_provider
        agive = self.azure_ad_async_token_provider
        return Key(give, agive=agive) if give or agive else None

    def _headers(self, extra: Mapping[str, str] | None) -> dict[str, str]:
        headers = super()._headers(extra)
        if self.azure_ad_token and self._fresh_key() is None:
            headers.pop("api-key", None)
            headers["authorization"] = f"Bearer {self.azure_ad_token.get_secret_value()}"
        return headers

    def _azure_post(self, path: str, body: dict[str, Any], kwargs: Mapping[str, Any], *, shared: bool = False) -> Post:
        """To the deployment's own address, or to the one that all versions share."""
        if shared or self.api_version is None:
            return self._post(f"{self._server}/openai/v1/{path}", {**body, "model": self.azure_deployment}, kwargs)
        own = f"{self._server}/openai/deployments/{self.azure_deployment}/{path}"
        return self._post(f"{own}?api-version={self.api_version}", body, kwargs)


class AzureChatOpenAI(_OnAzure, ChatOpenAI):
    """`ChatOpenAI` on Azure: the resource is `azure_endpoint` or AZURE_OPENAI_ENDPOINT, the key AZURE_OPENAI_API_KEY.

    With `api_version` (or OPENAI_API_VERSION) requests go to the deployment's own address, without it to the address that all
    versions share. `azure_deployment` is the deployment's name; it is `model` where it is not given. In place of a key there
    may be a token of Entra ID, or a function that gives one (`azure_ad_token_provider`, `azure_ad_async_token_provider`): it
    is asked before each request.

    Raises:
        InvalidArgument: (ValueError) there is no endpoint or no deployment.
        MissingKey: (KeyError) there is neither a key nor a token.
    """

    @property
    def _llm_type(self) -> str:
        return "azure-openai-chat"

    @property
    def _is_openai(self) -> bool:
        return True

    @property
    def _is_at_openai(self) -> bool:
        return True

    def _chat_post(self, body: dict[str, Any], kwargs: dict[str, Any]) -> Post:
        return self._azure_post("chat/completions", body, kwargs)

    def _responses_post(self, body: dict[str, Any], kwargs: dict[str, Any]) -> Post:
        return self._azure_post("responses", body, kwargs, shared=True)


class AzureOpenAIEmbeddings(_OnAzure, OpenAIEmbeddings):
    """`OpenAIEmbeddings` on Azure. Endpoint, deployment, key and tokens as for `AzureChatOpenAI`.

    Raises:
        InvalidArgument: (ValueError) there is no endpoint or no deployment.
        MissingKey: (KeyError) there is neither a key nor a token.
    """

    @property
    def _is_openai(self) -> bool:
        return True

    def _embeddings_post(self, body: dict[str, Any]) -> Post:
        return self._azure_post("embeddings", body, {})
