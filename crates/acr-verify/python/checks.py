"""The checks: what the documentation of azure-containerregistry promises, asked of the server under test.

Each takes a `sdk.Run`, works in repositories of its own, and raises where a promise is broken.
"""

import datetime
import io
import json
import os

from azure.containerregistry import (
    ArtifactArchitecture,
    ArtifactManifestOrder,
    ArtifactManifestProperties,
    ArtifactOperatingSystem,
    ArtifactTagOrder,
    ArtifactTagProperties,
    RepositoryProperties,
)
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
)
from images import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, digest_of, image, push_image, push_images
from sdk import collect, collect_pages

MIB = 1024 * 1024
NO_DIGEST = "sha256:" + "0" * 64
ATTRIBUTES = ["can_delete", "can_write", "can_read", "can_list"]


def same(actual, expected, what):
    if actual != expected:
        raise AssertionError(f"{what}: {actual!r}, expected {expected!r}")


def true(condition, what):
    if not condition:
        raise AssertionError(what)


async def raises(kind, awaitable, what, status=None):
    try:
        result = await awaitable
    except kind as error:
        if status is not None:
            same(error.status_code, status, f"{what}: status")
        return error
    raise AssertionError(f"{what}: no {kind.__name__}, but {result!r}")


async def trusts_only_the_ca_given(run):
    stranger = run.new_client(run.credential, connection_verify=True) if run.ca_is_an_argument else None
    await collect(await run.client.list_repository_names())
    same(run.credential.scopes, {"https://containerregistry.azure.net/.default"}, "scopes asked of the credential")
    if stranger is None:
        return
    await stranger.open()
    try:
        error = await raises(ServiceRequestError, list_names(stranger), "a client without the CA")
        true("certificate" in str(error).lower(), f"a client without the CA: {error}")
    finally:
        await stranger.close()


async def list_names(client, **options):
    return await collect(await client.list_repository_names(**options))


async def list_repository_names(run):
    names = sorted(run.repository() for _ in range(3))
    for name in reversed(names):
        await push_image(run.client, name, "v1")
    listed = await list_names(run.client)
    same([name for name in listed if name in names], names, "names in order")
    same(listed, sorted(set(listed)), "all names, sorted and each once")


async def list_repository_names_by_page(run):
    names = sorted(run.repository() for _ in range(5))
    for name in names:
        await push_image(run.client, name, "v1")
    everything = await list_names(run.client)
    pages, token = await collect_pages(await run.client.list_repository_names(results_per_page=2))
    same(sum(pages, []), everything, "names of all pages")
    same({len(page) for page in pages[:-1]}, {2}, "sizes of the full pages")
    true(1 <= len(pages[-1]) <= 2 and not token, "the last page is neither empty nor leads on")
    first, token = await collect_pages(await run.client.list_repository_names(results_per_page=2), at_most=1)
    rest, _ = await collect_pages(await run.client.list_repository_names(results_per_page=2), token)
    same(sum(first + rest, []), everything, "names of a list resumed by its token")


async def get_repository_properties(run):
    name = run.repository()
    await push_images(run.client, name, ["v1", "v2"])
    properties = await run.client.get_repository_properties(name)
    same((properties.name, properties.tag_count, properties.manifest_count), (name, 2, 2), "name and counts")
    true(is_now(properties.created_on) and is_now(properties.last_updated_on), "times are aware and of now")
    same([getattr(properties, a) for a in ATTRIBUTES], [True] * 4, "attributes")
    await raises(
        ResourceNotFoundError, run.client.get_repository_properties(run.repository()), "unknown repository", 404
    )


async def update_repository_properties(run):
    name = run.repository()
    await push_image(run.client, name, "v1")
    before = await run.client.get_repository_properties(name)
    after = await run.client.update_repository_properties(name, can_delete=False, can_write=False)
    same([getattr(after, a) for a in ATTRIBUTES], [False, False, True, True], "set by keywords")
    same((after.name, after.last_updated_on), (name, before.last_updated_on), "name and time stay")
    unlocked = RepositoryProperties(can_delete=True, can_write=True)
    after = await run.client.update_repository_properties(name, unlocked)
    same([getattr(after, a) for a in ATTRIBUTES], [True] * 4, "set by an object")
    await raises(
        ResourceNotFoundError,
        run.client.update_repository_properties(run.repository(), can_write=True),
        "unknown repository",
        404,
    )


async def delete_repository(run):
    name = run.repository()
    await push_images(run.client, name, ["v1", "v2"])
    await run.client.delete_repository(name)
    await raises(ResourceNotFoundError, run.client.get_repository_properties(name), "a deleted repository", 404)
    true(name not in await list_names(run.client), "a deleted repository is listed")
    same(await run.client.delete_repository(name), None, "deleting once more")


async def list_tag_properties(run):
    name = run.repository()
    images = await push_images(run.client, name, ["c", "a", "b"])
    for order, expected in [
        (None, "abc"),
        (ArtifactTagOrder.NONE, "abc"),
        (ArtifactTagOrder.LAST_UPDATED_ON_ASCENDING, "cab"),
        (ArtifactTagOrder.LAST_UPDATED_ON_DESCENDING, "bac"),
        ("timedesc", "bac"),
    ]:
        options = {} if order is None else {"order_by": order}
        tags = await collect(await run.client.list_tag_properties(name, **options))
        same("".join(tag.name for tag in tags), expected, f"tags with order_by={order}")
        for tag in tags:
            same(tag.digest, images[tag.name].digest, f"digest of {tag.name}")
            true(is_now(tag.created_on) and is_now(tag.last_updated_on), "times are aware and of now")
            same([getattr(tag, a) for a in ATTRIBUTES], [True] * 4, "attributes")
    unknown = await run.client.list_tag_properties(run.repository())
    await raises(ResourceNotFoundError, collect(unknown), "unknown repository", 404)


async def list_tag_properties_by_page(run):
    name = run.repository()
    await push_images(run.client, name, ["d", "b", "e", "a", "c"])
    for order, expected in [
        (ArtifactTagOrder.NONE, ["ab", "cd", "e"]),
        (ArtifactTagOrder.LAST_UPDATED_ON_ASCENDING, ["db", "ea", "c"]),
        (ArtifactTagOrder.LAST_UPDATED_ON_DESCENDING, ["ca", "eb", "d"]),
    ]:
        await same_pages(
            run, "list_tag_properties", name, order, expected, lambda page: "".join(tag.name for tag in page)
        )


async def get_tag_properties(run):
    name = run.repository()
    images = await push_images(run.client, name, ["v1", "v2"])
    tag = await run.client.get_tag_properties(name, "v1")
    same((tag.name, tag.digest), ("v1", images["v1"].digest), "name and digest")
    true(is_now(tag.created_on) and is_now(tag.last_updated_on), "times are aware and of now")
    same([getattr(tag, a) for a in ATTRIBUTES], [True] * 4, "attributes")
    await raises(ResourceNotFoundError, run.client.get_tag_properties(name, "v3"), "unknown tag", 404)


async def update_tag_properties(run):
    name = run.repository()
    await push_image(run.client, name, "v1")
    before = await run.client.get_tag_properties(name, "v1")
    tag = await run.client.update_tag_properties(name, "v1", can_write=False, can_list=True)
    same([getattr(tag, a) for a in ATTRIBUTES], [True, False, True, True], "set by keywords")
    same((tag.name, tag.last_updated_on), ("v1", before.last_updated_on), "name and time stay")
    tag = await run.client.update_tag_properties(name, "v1", ArtifactTagProperties(can_write=True, can_delete=False))
    same([getattr(tag, a) for a in ATTRIBUTES], [False, True, True, True], "set by an object")
    tag = await run.client.get_tag_properties(name, "v1")
    same([getattr(tag, a) for a in ATTRIBUTES], [False, True, True, True], "read again")
    await run.client.update_tag_properties(name, "v1", can_delete=True)
    await raises(
        ResourceNotFoundError, run.client.update_tag_properties(name, "v3", can_write=True), "unknown tag", 404
    )


async def delete_tag(run):
    name = run.repository()
    pushed = await push_image(run.client, name, "v1")
    same(await run.client.delete_tag(name, "v1"), None, "what it returns")
    await raises(ResourceNotFoundError, run.client.get_tag_properties(name, "v1"), "a deleted tag", 404)
    same(await collect(await run.client.list_tag_properties(name)), [], "tags of a repository without tags")
    same(await run.client.delete_tag(name, "v1"), None, "deleting once more")
    manifest = await run.client.get_manifest_properties(name, pushed.digest)
    true(not manifest.tags, f"the manifest stays, without tags: {manifest.tags!r}")


async def list_manifest_properties(run):
    name = run.repository()
    images = await push_images(run.client, name, ["a", "b", "c"])
    pushed = [images[tag].digest for tag in "abc"]
    for order, expected in [
        (None, sorted(pushed)),
        (ArtifactManifestOrder.NONE, sorted(pushed)),
        (ArtifactManifestOrder.LAST_UPDATED_ON_ASCENDING, pushed),
        (ArtifactManifestOrder.LAST_UPDATED_ON_DESCENDING, pushed[::-1]),
        ("timeasc", pushed),
    ]:
        options = {} if order is None else {"order_by": order}
        manifests = await collect(await run.client.list_manifest_properties(name, **options))
        same([manifest.digest for manifest in manifests], expected, f"digests with order_by={order}")
        for manifest in manifests:
            tag = "abc"[pushed.index(manifest.digest)]
            same((manifest.repository_name, manifest.tags), (name, [tag]), "repository and tags")
            same(manifest.architecture, ArtifactArchitecture.AMD64, "architecture")
            same(manifest.operating_system, ArtifactOperatingSystem.LINUX, "operating system")
    unknown = await run.client.list_manifest_properties(run.repository())
    await raises(ResourceNotFoundError, collect(unknown), "unknown repository", 404)


async def list_manifest_properties_by_page(run):
    name = run.repository()
    images = await push_images(run.client, name, ["a", "b", "c", "d", "e"])
    pushed = [images[tag].digest for tag in "abcde"]
    for order, expected in [
        (ArtifactManifestOrder.NONE, sorted(pushed)),
        (ArtifactManifestOrder.LAST_UPDATED_ON_ASCENDING, pushed),
        (ArtifactManifestOrder.LAST_UPDATED_ON_DESCENDING, pushed[::-1]),
    ]:
        await same_pages(
            run,
            "list_manifest_properties",
            name,
            order,
            [expected[0:2], expected[2:4], expected[4:]],
            lambda page: [manifest.digest for manifest in page],
        )


async def get_manifest_properties(run):
    name = run.repository()
    pushed = await push_image(run.client, name, "v1")
    await run.client.set_manifest(name, io.BytesIO(pushed.bytes), tag="also")
    for reference in ["v1", pushed.digest]:
        manifest = await run.client.get_manifest_properties(name, reference)
        same((manifest.digest, manifest.repository_name), (pushed.digest, name), "digest and repository")
        same(sorted(manifest.tags), ["also", "v1"], "tags")
        same(manifest.architecture, ArtifactArchitecture.AMD64, "architecture")
        same(manifest.operating_system, ArtifactOperatingSystem.LINUX, "operating system")
        true(manifest.size_in_bytes > 0, "size")
        true(is_now(manifest.created_on) and is_now(manifest.last_updated_on), "times are aware and of now")
        same([getattr(manifest, a) for a in ATTRIBUTES], [True] * 4, "attributes")
        reference = f"{run.host}/{name}@{pushed.digest.removeprefix('sha256:')}"
        same(manifest.fully_qualified_reference, reference, "fully qualified reference")
    for reference in ["v3", NO_DIGEST]:
        unknown = run.client.get_manifest_properties(name, reference)
        await raises(ResourceNotFoundError, unknown, f"unknown manifest {reference}", 404)


async def update_manifest_properties(run):
    name = run.repository()
    pushed = await push_image(run.client, name, "v1")
    manifest = await run.client.update_manifest_properties(name, "v1", can_write=False, can_delete=False)
    same([getattr(manifest, a) for a in ATTRIBUTES], [False, False, True, True], "set by tag and keywords")
    unlocked = ArtifactManifestProperties(can_write=True, can_delete=True)
    manifest = await run.client.update_manifest_properties(name, pushed.digest, unlocked)
    same([getattr(manifest, a) for a in ATTRIBUTES], [True] * 4, "set by digest and object")
    same((manifest.digest, manifest.tags), (pushed.digest, ["v1"]), "digest and tags")
    tag = await run.client.get_tag_properties(name, "v1")
    same([getattr(tag, a) for a in ATTRIBUTES], [True] * 4, "the tag's own attributes")


async def delete_manifest(run):
    name = run.repository()
    images = await push_images(run.client, name, ["v1", "v2", "v3"])
    same(await run.client.delete_manifest(name, images["v1"].digest), None, "what it returns")
    await raises(ResourceNotFoundError, run.client.get_manifest_properties(name, images["v1"].digest), "deleted", 404)
    await raises(ResourceNotFoundError, run.client.get_tag_properties(name, "v1"), "a deleted manifest's tag", 404)
    await run.client.delete_manifest(name, "v2")
    tags = await collect(await run.client.list_tag_properties(name))
    same([tag.name for tag in tags], ["v3"], "tags left")
    same(await run.client.delete_manifest(name, images["v1"].digest), None, "deleting once more")
    await run.client.delete_manifest(name, "v3")
    await raises(ResourceNotFoundError, run.client.get_repository_properties(name), "without its last manifest", 404)


async def delete_blob(run):
    name = run.repository()
    await push_image(run.client, name, "v1")
    digest, _ = await run.client.upload_blob(name, io.BytesIO(b"a blob that nothing refers to"))
    same(await run.client.delete_blob(name, digest), None, "what it returns")
    await raises(ResourceNotFoundError, run.client.download_blob(name, digest), "a deleted blob", 404)
    same(await run.client.delete_blob(name, digest), None, "deleting once more")


async def set_and_get_oci_manifest(run):
    name = run.repository()
    pushed = await image(run.client, name, OCI_MANIFEST, os.urandom(100))
    as_dict = await run.client.set_manifest(name, pushed.manifest, tag="v1")
    same(as_dict, digest_of(json.dumps(pushed.manifest).encode()), "digest of a dict by tag")
    as_stream = await run.client.set_manifest(name, io.BytesIO(pushed.bytes), media_type=OCI_MANIFEST)
    same(as_stream, pushed.digest, "digest of a stream without a tag")
    for reference, digest in [("v1", as_dict), (as_dict, as_dict), (pushed.digest, pushed.digest)]:
        got = await run.client.get_manifest(name, reference)
        same((got.digest, got.media_type), (digest, OCI_MANIFEST), f"digest and type of {reference}")
        same(got.manifest, pushed.manifest, f"content of {reference}")

    entry = {"mediaType": OCI_MANIFEST, "digest": pushed.digest, "size": len(pushed.bytes)}
    entry["platform"] = {"architecture": "arm64", "os": "linux"}
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [entry]}
    digest = await run.client.set_manifest(name, index, tag="index", media_type=OCI_INDEX)
    got = await run.client.get_manifest(name, "index")
    same((got.digest, got.media_type, got.manifest), (digest, OCI_INDEX, index), "an index")
    properties = await run.client.get_manifest_properties(name, "index")
    same((properties.architecture, properties.operating_system), (None, None), "an index has no platform")

    for reference in ["v3", NO_DIGEST]:
        await raises(ResourceNotFoundError, run.client.get_manifest(name, reference), f"unknown {reference}", 404)
    broken = {**pushed.manifest, "layers": [{**pushed.manifest["layers"][0], "digest": NO_DIGEST}]}
    error = await raises(HttpResponseError, run.client.set_manifest(name, broken, tag="v2"), "a missing layer", 400)
    true("MANIFEST_BLOB_UNKNOWN" in str(error), f"a missing layer: {error}")


async def set_and_get_docker_manifest(run):
    name = run.repository()
    pushed = await image(run.client, name, DOCKER_MANIFEST, os.urandom(100))
    stream = io.BytesIO(pushed.bytes)
    digest = await run.client.set_manifest(name, stream, tag="v1", media_type=DOCKER_MANIFEST)
    same(digest, pushed.digest, "digest")
    for reference in ["v1", digest]:
        got = await run.client.get_manifest(name, reference)
        same((got.digest, got.media_type), (digest, DOCKER_MANIFEST), f"digest and type of {reference}")
        same(got.manifest, pushed.manifest, f"content of {reference}")
    entry = {"mediaType": DOCKER_MANIFEST, "digest": digest, "size": len(pushed.bytes)}
    entry["platform"] = {"architecture": "amd64", "os": "linux"}
    manifest_list = {"schemaVersion": 2, "mediaType": DOCKER_LIST, "manifests": [entry]}
    await run.client.set_manifest(name, manifest_list, tag="list", media_type=DOCKER_LIST)
    got = await run.client.get_manifest(name, "list")
    same((got.media_type, got.manifest), (DOCKER_LIST, manifest_list), "a manifest list")
    # The SDK's default media type is OCI's, and the body says Docker's.
    error = await raises(HttpResponseError, run.client.set_manifest(name, pushed.manifest, tag="v2"), "wrong type", 400)
    true("MANIFEST_INVALID" in str(error), f"a wrong type: {error}")


def upload_and_download_blob(size):
    async def check(run):
        name = run.repository()
        content = os.urandom(size)
        digest, uploaded = await run.client.upload_blob(name, io.BytesIO(content))
        same((digest, uploaded), (digest_of(content), size), "digest and size of the upload")
        received = b"".join(await collect(await run.client.download_blob(name, digest)))
        same(len(received), size, "length of the download")
        true(received == content, "the bytes of the download")
        absent = digest_of(content + b"x")
        await raises(ResourceNotFoundError, run.client.download_blob(name, absent), "an unknown blob", 404)

    return check


async def anonymous_reads(run):
    name = run.repository()
    pushed = await push_image(run.client, name, "v1")
    true(name in await list_names(run.anonymous), "the repository is listed")
    same((await run.anonymous.get_repository_properties(name)).tag_count, 1, "repository properties")
    tags = await collect(await run.anonymous.list_tag_properties(name))
    same([tag.name for tag in tags], ["v1"], "tags")
    same((await run.anonymous.get_tag_properties(name, "v1")).digest, pushed.digest, "tag properties")
    manifests = await collect(await run.anonymous.list_manifest_properties(name))
    same([manifest.digest for manifest in manifests], [pushed.digest], "manifests")
    same((await run.anonymous.get_manifest(name, "v1")).manifest, pushed.manifest, "the manifest")
    layer = pushed.manifest["layers"][0]["digest"]
    received = b"".join(await collect(await run.anonymous.download_blob(name, layer)))
    same(digest_of(received), layer, "a layer")


async def anonymous_writes_refused(run):
    name = run.repository()
    pushed = await push_image(run.client, name, "v1")
    anonymous = run.anonymous
    for what, attempt in [
        ("upload_blob", lambda: anonymous.upload_blob(name, io.BytesIO(b"x"))),
        ("set_manifest", lambda: anonymous.set_manifest(name, io.BytesIO(pushed.bytes), tag="v2")),
        ("update_repository_properties", lambda: anonymous.update_repository_properties(name, can_write=False)),
        ("update_tag_properties", lambda: anonymous.update_tag_properties(name, "v1", can_write=False)),
        ("update_manifest_properties", lambda: anonymous.update_manifest_properties(name, "v1", can_write=False)),
        ("delete_tag", lambda: anonymous.delete_tag(name, "v1")),
        ("delete_manifest", lambda: anonymous.delete_manifest(name, pushed.digest)),
        ("delete_blob", lambda: anonymous.delete_blob(name, pushed.manifest["layers"][0]["digest"])),
        ("delete_repository", lambda: anonymous.delete_repository(name)),
    ]:
        await raises(ClientAuthenticationError, attempt(), what, 401)
    tags = await collect(await run.client.list_tag_properties(name))
    same([(tag.name, tag.can_write) for tag in tags], [("v1", True)], "tags afterwards")


async def locked_tag_refused(run):
    name = run.repository()
    pushed = await push_image(run.client, name, "v1")
    other = await push_image(run.client, name, "v2")
    await run.client.update_tag_properties(name, "v1", can_write=False, can_delete=False)
    for what, attempt in [
        ("delete_tag", run.client.delete_tag(name, "v1")),
        ("set_manifest", run.client.set_manifest(name, io.BytesIO(other.bytes), tag="v1")),
    ]:
        error = await raises(HttpResponseError, attempt, what, 405)
        true("REGISTRY_DISALLOWED_OPERATION" in str(error), f"{what}: {error}")
    same((await run.client.get_manifest(name, "v1")).digest, pushed.digest, "a locked tag is read")
    await run.client.update_tag_properties(name, "v1", can_write=True, can_delete=True)
    await run.client.set_manifest(name, io.BytesIO(other.bytes), tag="v1")
    same((await run.client.get_tag_properties(name, "v1")).digest, other.digest, "an unlocked tag moves")
    await run.client.delete_tag(name, "v1")
    await raises(ResourceNotFoundError, run.client.get_tag_properties(name, "v1"), "an unlocked tag is deleted", 404)


async def same_pages(run, operation, name, order, expected, show):
    """All pages of a list, and the same list resumed by the token of its first page."""

    async def pages(**options):
        paged = await getattr(run.client, operation)(name, order_by=order, results_per_page=2)
        found, token = await collect_pages(paged, **options)
        return [show(page) for page in found], token

    found, token = await pages()
    same((found, token), (expected, None), f"pages with order_by={order}")
    first, token = await pages(at_most=1)
    rest, _ = await pages(continuation_token=token)
    same(first + rest, expected, f"pages with order_by={order}, resumed")


def is_now(moment):
    return abs(datetime.datetime.now(datetime.timezone.utc) - moment) < datetime.timedelta(minutes=5)


CHECKS = [
    ("TLS with the mock's own CA", trusts_only_the_ca_given),
    ("list_repository_names", list_repository_names),
    ("list_repository_names, by page", list_repository_names_by_page),
    ("get_repository_properties", get_repository_properties),
    ("update_repository_properties", update_repository_properties),
    ("delete_repository", delete_repository),
    ("list_tag_properties, all orders", list_tag_properties),
    ("list_tag_properties, by page", list_tag_properties_by_page),
    ("get_tag_properties", get_tag_properties),
    ("update_tag_properties", update_tag_properties),
    ("delete_tag", delete_tag),
    ("list_manifest_properties, all orders", list_manifest_properties),
    ("list_manifest_properties, by page", list_manifest_properties_by_page),
    ("get_manifest_properties", get_manifest_properties),
    ("update_manifest_properties", update_manifest_properties),
    ("delete_manifest", delete_manifest),
    ("delete_blob", delete_blob),
    ("set_manifest, get_manifest (OCI)", set_and_get_oci_manifest),
    ("set_manifest, get_manifest (Docker)", set_and_get_docker_manifest),
    ("upload_blob, download_blob, 1 byte", upload_and_download_blob(1)),
    ("upload_blob, download_blob, 4 MiB", upload_and_download_blob(4 * MIB)),
    ("upload_blob, download_blob, 9 MiB + 1", upload_and_download_blob(9 * MIB + 1)),
    ("anonymous client reads", anonymous_reads),
    ("anonymous client's writes are refused", anonymous_writes_refused),
    ("a locked tag is refused", locked_tag_refused),
]

# Checks that use the client without a credential.
ANONYMOUS = {anonymous_reads, anonymous_writes_refused}
