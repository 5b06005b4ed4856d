"""What goes wrong between us and the hub, each as one sentence that says what to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2
from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
)
from huggingface_hub.hf_api import api

from backend.errors import NETWORK_ERRORS, reason, sentence_of
from backend.hub.layout import INDEX, ModelError
from backend.hub.suggested import near_names

NO_RIGHT = (401, 403)


@contextmanager
def sentences(model: str) -> Iterator[None]:
    """Errors of the hub, the network and the disk become ModelErrors that begin with the model's name."""
    try:
        yield
    except ModelError:
        raise
    except HFValidationError as error:
        raise ModelError(f'"{model}" is neither a folder nor a hub id: pass a folder or OWNER/NAME') from error
    except GatedRepoError as error:
        raise ModelError(_gated(model)) from error
    except RepositoryNotFoundError as error:
        raise ModelError(_not_there(model)) from error
    except RemoteEntryNotFoundError as error:
        raise ModelError(f'"{model}" has no {INDEX}: choose a model that is in diffusers\' format') from error
    except HfHubHTTPError as error:
        raise ModelError(
            _gated(model) if error.response.status_code in NO_RIGHT else _elsewhere(model, error)
        ) from error
    except (ImportError, ValueError, httpx2.ProxyError, httpx2.ConnectError) as error:
        if not (_is_of_proxy(error) or isinstance(error, httpx2.HTTPError)):
            raise
        raise ModelError(_proxy(model, error) if _is_of_proxy(error) else _elsewhere(model, error)) from error
    except OfflineModeIsEnabled as error:
        raise ModelError(
            f'"{model}" is not whole in the hub\'s cache, and HF_HUB_OFFLINE says to stay offline, as Blender does '
            f"without online access: allow it and start the backend again, or {_by_hand(model)}"
        ) from error
    except OSError as error:
        if error.errno is None or isinstance(error, NETWORK_ERRORS):
            raise ModelError(_elsewhere(model, error)) from error
        raise ModelError(f'"{model}" is not whole yet: {sentence_of(error, constants.HF_HUB_CACHE)}') from error
    except httpx2.HTTPError as error:
        raise ModelError(_elsewhere(model, error)) from error


def _gated(model: str) -> str:
    return (
        f'"{model}" wants its licence accepted: read and accept it on {api.endpoint}/{model}, '
        "then run `hf auth login` with a token of the same account"
    )


def _not_there(model: str) -> str:
    near = [name for name in near_names(model) if name != model]
    if near:
        return f'"{model}" is not on the hub: did you mean {" or ".join(near)}? If it is private, run `hf auth login`'
    return f'"{model}" is not on the hub: check the name, or run `hf auth login` if the model is private'


def _elsewhere(model: str, error: Exception) -> str:
    return (
        f'"{model}" is neither a folder here nor complete in the hub\'s cache ({reason(error)}): try again with '
        f"internet, or {_by_hand(model)}"
    )


def _by_hand(model: str) -> str:
    return f"run `hf download {model} --local-dir FOLDER` on a machine with internet, copy that folder here and pass it"


def _proxies() -> list[str]:
    """The proxies that stand between us and the hub."""
    if proxy_bypass(urlsplit(api.endpoint).netloc):
        return []
    return sorted({address for kind, address in getproxies().items() if kind in ("http", "https", "all")})


def _is_of_proxy(error: Exception) -> bool:
    """Whether a proxy is the reason: httpx says so by errors of many kinds."""
    return "proxy" in str(error).lower() or (isinstance(error, httpx2.HTTPError) and bool(_proxies()))


def _proxy(model: str, error: Exception) -> str:
    return (
        f'"{model}" cannot be fetched through the proxy {", ".join(_proxies()) or "of this system"} ({reason(error)}): '
        "correct ALL_PROXY and HTTPS_PROXY, or pass the folder of a model"
    )
