"""MONAI Label's own Python client, as its Slicer plug-in uses it."""

import json
import subprocess

from app_server import python

SCRIPT = """
import json, os, sys
from monailabel.client import MONAILabelClient
client = MONAILabelClient(sys.argv[1], tmpdir=sys.argv[3])
client.update_auth({"token_type": "Bearer", "access_token": sys.argv[2]})
told = {"info": client.info()["name"]}
sample = client.next_sample("random", {})
told["sample"] = sample["id"]
file, found = client.infer("hip_landmarks", sample["id"], {"result_extension": ".nrrd"})
told["ending"], told["landmarks"] = os.path.splitext(file)[1], len(found["landmarks"])
told["saved"] = client.save_label(sample["id"], file, tag="final")["label"]
label = client.download_label(sample["id"], "final")
told["author"] = json.load(open(label))["skiagraph"]["author"]
told["completed"] = sum("final" in one["labels"] for one in client.datastore()["objects"].values())
told["uploaded"] = client.upload_image(sys.argv[4], "stock.1")["image"]
print("TOLD" + json.dumps(told))
"""


def test_the_stock_client_gets_a_picture_its_landmarks_and_saves_them(own_server, tmp_path):
    own_server.start()
    picture = own_server.folder / "1.2.840.0.png"
    arguments = [own_server.address, own_server.tokens["anna"], str(tmp_path), str(picture)]
    done = subprocess.run([str(python()), "-c", SCRIPT, *arguments], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.split("TOLD")[1])
    assert told | {"sample": ""} == {
        "info": "Skiagraph", "sample": "", "ending": ".json", "landmarks": 14, "saved": told["sample"],
        "author": "anna", "completed": 1, "uploaded": "stock.1",
    }  # fmt: skip
