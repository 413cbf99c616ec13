"""The folder of X-rays, as MONAI Label's own parts and its background jobs ask for it."""

import io
import json
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.exception import ImageNotFoundException, LabelNotFoundException

from monailabel_app.lib.study import Study
from skiagraph.active.labels import FINAL, Version, points_from
from skiagraph.active.store import LABELS, Missing
from skiagraph.io.files import suffix_of

SERVER = "model"
"""The author of what no reader said."""


class Studies(Datastore):
    """MONAI Label's interface to a study. Label ids are picture ids, as in its own datastore."""

    def __init__(self, study: Study) -> None:
        self.study, self.store = study, study.store

    def name(self) -> str:
        """The folder's."""
        return self.store.folder.name

    def set_name(self, name: str) -> None:
        """Refused: a folder keeps its name."""
        raise NotImplementedError("a folder of X-rays keeps its name")

    def description(self) -> str:
        """What it is."""
        return "X-rays with landmarks"

    def set_description(self, description: str) -> None:
        """Refused."""
        raise NotImplementedError("a folder of X-rays has no description of its own")

    def datalist(self) -> list[dict[str, Any]]:
        """Pictures and their final labels, relative to the folder."""
        return [
            {
                "image": self._relative(self.get_image_uri(picture)),
                "label": self._relative(self._file(version, picture)),
            }
            for picture, version in self._labelled(FINAL).items()
        ]

    def get_labels_by_image_id(self, image_id: str) -> dict[str, str]:
        """Tags."""
        return dict.fromkeys(self.store.tags(image_id), image_id)

    def get_label_by_image_id(self, image_id: str, tag: str) -> str:
        """The same id, or nothing."""
        return self.get_labels_by_image_id(image_id).get(tag, "")

    def get_image(self, image_id: str, params: Any = None) -> Any:
        """The file's bytes."""
        return io.BytesIO(Path(self.get_image_uri(image_id)).read_bytes())

    def get_image_uri(self, image_id: str) -> str:
        """The file's path."""
        try:
            return str(self.store.path(image_id))
        except Missing as error:
            raise ImageNotFoundException(str(error)) from error

    def get_label(self, label_id: str, label_tag: str, params: Any = None) -> Any:
        """The newest version's bytes."""
        return io.BytesIO(Path(self.get_label_uri(label_id, label_tag)).read_bytes())

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        """The newest version's path."""
        return str(self._file(self._version(label_id, label_tag), label_id))

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """What is known of a picture."""
        path = Path(self.get_image_uri(image_id))
        return {
            "name": path.name,
            "ts": int(path.stat().st_mtime),
            "labels": list(self.store.tags(image_id)),
            "finished_by": list(self.store.finished(image_id)),
        }

    def get_label_info(self, label_id: str, label_tag: str) -> dict[str, Any]:
        """Who said it, when, and what else is known."""
        return said(self._version(label_id, label_tag))

    def get_labeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        """Those that somebody has finished."""
        return [picture for picture in self.store.pictures() if self.store.finished(picture)]

    def get_unlabeled_images(self, label_tag: str | None = None, labels: list[str] | None = None) -> list[str]:
        """The others."""
        return [picture for picture in self.store.pictures() if not self.store.finished(picture)]

    def list_images(self) -> list[str]:
        """All."""
        return list(self.store.pictures())

    def get_dataset_archive(self, limit_cases: int | None) -> str:
        """Refused: ask for an export."""
        raise NotImplementedError("archives are not made; export COCO or CSV")

    def refresh(self) -> None:
        """Nothing: the folder is its own index."""

    def add_image(self, image_id: str, image_filename: str, image_info: dict[str, Any]) -> str:
        """A new picture."""
        path = Path(image_filename)
        return self.store.add(image_id, suffix_of(path), path).name

    def remove_image(self, image_id: str) -> None:
        """Moved out of the way."""
        self.store.take_away(image_id)

    def save_label(self, image_id: str, label_filename: str, label_tag: str, label_info: dict[str, Any]) -> str:
        """The points in a file, of the server's own making."""
        frame = self.study.frame(image_id)
        points = points_from(Path(label_filename).read_bytes(), frame)
        self.store.save(image_id, points, frame, SERVER, label_tag, label_info)
        return image_id

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Taken away; its history stays."""
        self.store.remove(label_id, label_tag, SERVER)

    def update_image_info(self, image_id: str, info: dict[str, Any]) -> None:
        """Nothing is kept of pictures but the pictures."""

    def update_label_info(self, label_id: str, label_tag: str, info: dict[str, Any]) -> None:
        """Refused: a version never changes."""
        raise NotImplementedError("a version never changes; save another")

    def status(self) -> dict[str, Any]:
        """Counts."""
        finished = self.get_labeled_images()
        total = len(self.store.pictures())
        tags: dict[str, int] = {}
        for picture in self.store.pictures():
            for tag in self.store.tags(picture):
                tags[tag] = tags.get(tag, 0) + 1
        return {"total": total, "completed": len(finished), "label_tags": tags, "train": []}

    def json(self) -> dict[str, Any]:
        """Everything, as MONAI Label's own index lists it."""
        objects = {
            picture: {
                "image": {"ext": suffix_of(path), "info": self.get_image_info(picture)},
                "labels": {
                    tag: {"ext": ".mrk.json", "info": self.get_label_info(picture, tag)}
                    for tag in self.store.tags(picture)
                },
            }
            for picture, path in self.store.pictures().items()
        }
        return {"name": self.name(), "description": self.description(), "images_dir": "", "labels_dir": LABELS,
                "objects": json.loads(json.dumps(objects, default=str))}  # fmt: skip

    def _labelled(self, tag: str) -> dict[str, Version]:
        found = {picture: self.store.label(picture, tag) for picture in self.store.pictures()}
        return {picture: version for picture, version in found.items() if version is not None}

    def _version(self, picture: str, tag: str) -> Version:
        try:
            version = self.store.label(picture, tag)
        except Missing as error:
            raise ImageNotFoundException(str(error)) from error
        if version is None:
            raise LabelNotFoundException(f"no label {tag!r} of that picture")
        return version

    def _file(self, version: Version, picture: str) -> Path:
        return self.store.label_file(picture, version)

    def _relative(self, path: str | Path) -> str:
        return str(Path(path).relative_to(self.store.folder))


def said(version: Version) -> dict[str, Any]:
    """Of a version, all but its points."""
    return {
        "version": version.number,
        "event": version.event,
        "tag": version.tag,
        "author": version.author,
        "time": version.time,
        "landmarks": len(version.keypoints.names),
        **version.about,
    }
