"""The sync and the async client of azure-containerregistry under one face, so that each check is written once."""

import inspect
import time

from azure.containerregistry import ContainerRegistryClient
from azure.containerregistry.aio import ContainerRegistryClient as AsyncContainerRegistryClient
from azure.core.credentials import AccessToken


class Run:
    """One run of all checks: the clients, and names of repositories that no other run uses."""

    def __init__(self, kind, endpoint, ca, prefix):
        self.kind = kind
        self.endpoint = endpoint
        self.host = endpoint.removeprefix("https://")
        self._ca = ca
        self.ca_is_an_argument = ca is not None
        self._prefix = prefix
        self._repositories = 0
        self.credential = TokenCredential() if kind == "sync" else AsyncTokenCredential()
        self.client = self.new_client(self.credential)
        self.anonymous = self.new_client(None)

    def new_client(self, credential, **settings):
        # No retries, so that a response that a retry would paper over fails the check, and finite times, so that
        # nothing hangs.
        settings = {"retry_total": 0, "connection_timeout": 30, "read_timeout": 60, **settings}
        if self._ca is not None:
            settings.setdefault("connection_verify", self._ca)
        kind = ContainerRegistryClient if self.kind == "sync" else AsyncContainerRegistryClient
        return Client(kind(self.endpoint, credential, **settings))

    def repository(self):
        """A new name."""
        self._repositories += 1
        return f"{self._prefix}/r{self._repositories:02}"

    async def __aenter__(self):
        await self.client.open()
        await self.anonymous.open()
        return self

    async def __aexit__(self, *error):
        await self.client.close()
        await self.anonymous.close()


class Client:
    """Either client: every method of it is awaited here."""

    def __init__(self, client):
        self._client = client

    def __getattr__(self, name):
        method = getattr(self._client, name)

        async def call(*arguments, **keywords):
            result = method(*arguments, **keywords)
            return await result if inspect.isawaitable(result) else result

        return call

    async def open(self):
        # As in `with client:`. The SDK's own close() leaves a session of the token calls open.
        if hasattr(self._client, "__aenter__"):
            await self._client.__aenter__()
        else:
            self._client.__enter__()

    async def close(self):
        if hasattr(self._client, "__aexit__"):
            await self._client.__aexit__(None, None, None)
        else:
            self._client.__exit__(None, None, None)


async def collect(iterable):
    """The items of a sync or an async iterable as a list: of a list operation, of a page, of a download."""
    if hasattr(iterable, "__aiter__"):
        return [item async for item in iterable]
    return list(iterable)


async def collect_pages(paged, continuation_token=None, at_most=None):
    """The pages of a list operation as lists, and the token that leads behind the last one read."""
    pages = paged.by_page(continuation_token)
    collected = []
    if hasattr(pages, "__aiter__"):
        async for page in pages:
            collected.append(await collect(page))
            if len(collected) == at_most:
                break
    else:
        for page in pages:
            collected.append(await collect(page))
            if len(collected) == at_most:
                break
    return collected, pages.continuation_token


class TokenCredential:
    """What azure-identity would be: it hands out an Entra token, here one that nobody checks."""

    def __init__(self):
        self.scopes = set()

    def get_token(self, *scopes, **_):
        self.scopes.update(scopes)
        return AccessToken("entra-token-of-a-developer", int(time.time()) + 3600)


class AsyncTokenCredential(TokenCredential):
    """The same for the async client."""

    async def get_token(self, *scopes, **_):
        return super().get_token(*scopes)

    async def close(self):
        pass

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass
