"""Small images that the checks push."""

import hashlib
import io
import json
import os
from typing import NamedTuple

OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"

# (media type of the config, of a layer) by that of the manifest.
PARTS = {
    OCI_MANIFEST: (
        "application/vnd.oci.image.config.v1+json",
        "application/vnd.oci.image.layer.v1.tar+gzip",
    ),
    DOCKER_MANIFEST: (
        "application/vnd.docker.container.image.v1+json",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
    ),
}


class Image(NamedTuple):
    manifest: dict
    bytes: bytes
    digest: str


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


async def image(client, repository, media_type, layer):
    """Uploads a config and a layer; the manifest that is returned is not set yet."""
    config_type, layer_type = PARTS[media_type]
    config = json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {},
            "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]},
        }
    ).encode()
    descriptors = []
    for kind, content in [(config_type, config), (layer_type, layer)]:
        digest, size = await client.upload_blob(repository, io.BytesIO(content))
        descriptors.append({"mediaType": kind, "digest": digest, "size": size})
    manifest = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "config": descriptors[0],
        "layers": descriptors[1:],
    }
    # Not as json.dumps writes a dict by default, so that bytes that are written anew are noticed.
    content = json.dumps(manifest, indent=3).encode()
    return Image(manifest, content, digest_of(content))


async def push_image(client, repository, tag):
    """Pushes an image of its own digest."""
    pushed = await image(client, repository, OCI_MANIFEST, os.urandom(100))
    digest = await client.set_manifest(repository, io.BytesIO(pushed.bytes), tag=tag)
    if digest != pushed.digest:
        raise AssertionError(f"set_manifest returned {digest}, not {pushed.digest}")
    return pushed


async def push_images(client, repository, tags):
    """Pushes an image per tag, in this order."""
    return {tag: await push_image(client, repository, tag) for tag in tags}
