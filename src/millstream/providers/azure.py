"""AzureChatOpenAI: OpenAI's models as Azure serves them."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, ClassVar

from pydantic import Field, SecretStr

from ..errors import InvalidArgument, MissingKey
from .endpoint import Endpoint
from .http import Post
from .openai import ChatOpenAI

__all__ = ["AzureChatOpenAI"]

_NAMES = {
    "deployment_name": "azure_deployment",
    "openai_api_version": "api_version",
    "base_url": "azure_endpoint",
    "openai_api_base": "azure_endpoint",
}
_WAYS_IN = ("api_key", "azure_openai_api_key", "openai_api_key", "azure_ad_token", "azure_ad_token_provider")


class AzureChatOpenAI(ChatOpenAI):
    """`ChatOpenAI` on Azure: the resource is `azure_endpoint` or AZURE_OPENAI_ENDPOINT, the key AZURE_OPENAI_API_KEY.

    With `api_version` (or OPENAI_API_VERSION) requests go to the deployment's own address, without it to the address that all
    versions share. `azure_deployment` is the deployment's name; it is `model` where it is not given. In place of a key there
    may be a token of Entra ID, or a function that gives one: it is asked for each request.

    Raises:
        InvalidArgument: (ValueError) there is no endpoint or no deployment.
        MissingKey: (KeyError) there is neither a key nor a token.
    """

    azure_deployment: str | None = None
    api_version: str | None = None
    azure_ad_token: SecretStr | None = None
    azure_ad_token_provider: Callable[[], str] | None = Field(default=None, exclude=True, repr=False)

    _endpoint: ClassVar[Endpoint] = Endpoint(
        provider="azure_openai",
        url="",
        key_variables=("AZURE_OPENAI_API_KEY", "OPENAI_API_KEY"),
        url_variables=("AZURE_OPENAI_ENDPOINT",),
        key_header="api-key",
    )

    def __init__(self, **settings: Any) -> None:
        settings = {_NAMES.get(name, name): value for name, value in settings.items()}
        endpoint = settings.pop("azure_endpoint", None) or os.environ.get("AZURE_OPENAI_ENDPOINT")
        if not endpoint:
            raise InvalidArgument(
                "AzureChatOpenAI needs `azure_endpoint` or AZURE_OPENAI_ENDPOINT, such as 'https://NAME.openai.azure.com'."
            )
        deployment = settings.get("azure_deployment") or settings.get("model") or settings.get("model_name")
        if not deployment:
            raise InvalidArgument("AzureChatOpenAI needs `azure_deployment`, the name that your deployment has.")
        if "model_name" not in settings:
            settings.setdefault("model", deployment)
        settings["azure_deployment"] = deployment
        settings["api_version"] = settings.get("api_version") or os.environ.get("OPENAI_API_VERSION")
        settings.setdefault("azure_ad_token", os.environ.get("AZURE_OPENAI_AD_TOKEN"))
        if not any(map(settings.get, _WAYS_IN)) and not any(map(os.environ.get, self._endpoint.key_variables)):
            raise MissingKey(
                "No key for Azure: set AZURE_OPENAI_API_KEY, or give `api_key=`, `azure_ad_token=` or "
                "`azure_ad_token_provider=`.",
                key="AZURE_OPENAI_API_KEY",
            )
        super().__init__(base_url=str(endpoint), **settings)

    @property
    def _llm_type(self) -> str:
        return "azure-openai-chat"

    @property
    def _is_openai(self) -> bool:
        return True

    @property
    def _secrets(self) -> list[str]:
        token = self.azure_ad_token
        return super()._secrets + ([token.get_secret_value()] if token else [])

    def _chat_post(self, body: dict[str, Any], kwargs: dict[str, Any]) -> Post:
        if self.api_version is None:
            body = {**body, "model": self.azure_deployment}
            return self._post(f"{self._server}/openai/v1/chat/completions", body, kwargs)
        path = f"openai/deployments/{self.azure_deployment}/chat/completions"
        return self._post(f"{self._server}/{path}?api-version={self.api_version}", body, kwargs)

    def _responses_post(self, body: dict[str, Any], kwargs: dict[str, Any]) -> Post:
        # This API is only at the address that all versions share.
        body = {**body, "model": self.azure_deployment}
        return self._post(f"{self._server}/openai/v1/responses", body, kwargs)

    def _headers(self, extra: Any) -> dict[str, str]:
        headers = super()._headers(extra)
        token = self.azure_ad_token_provider() if self.azure_ad_token_provider else None
        if token is None and self.azure_ad_token:
            token = self.azure_ad_token.get_secret_value()
        if token:
            headers.pop("api-key", None)
            headers["authorization"] = f"Bearer {token}"
        return headers
