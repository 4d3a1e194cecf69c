"""Two ComfyUI clients that nobody here wrote make a picture with `comfygate emulator`, over HTTP and WebSocket. Prints one line for each check."""

import os
import struct
import tempfile
from pathlib import Path

from comfy_api_simplified import ComfyApiWrapper, ComfyWorkflowWrapper
from comfy_ui_client.client import ComfyUIClient

URL, WHERE = os.environ["E2E_COMFY_URL"], os.environ["E2E_COMFY_AS"]


def node(title, class_type, **inputs):
    return {"class_type": class_type, "inputs": inputs, "_meta": {"title": title}}


def graph(seed):
    """The graph that ComfyUI itself opens with, small."""
    return {
        "3": node("Sampler", "KSampler", model=["4", 0], positive=["6", 0], negative=["7", 0], latent_image=["5", 0], seed=seed, steps=12, cfg=7,
                  sampler_name="euler", scheduler="normal", denoise=1),
        "4": node("Checkpoint", "CheckpointLoaderSimple", ckpt_name="v1-5-pruned-emaonly-fp16.safetensors"),
        "5": node("Size", "EmptyLatentImage", width=512, height=384, batch_size=1),
        "6": node("Prompt", "CLIPTextEncode", text="", clip=["4", 1]),
        "7": node("Negative", "CLIPTextEncode", text="blurry", clip=["4", 1]),
        "8": node("Decode", "VAEDecode", samples=["3", 0], vae=["4", 2]),
        "9": node("Save", "SaveImage", images=["8", 0], filename_prefix="foreign"),
    }


def size(png):
    assert png[:4] == b"\x89PNG", png[:16]
    return struct.unpack(">II", png[16:24])


def simplified():
    """comfy-api-simplified: generates, and sends a picture back in."""
    api = ComfyApiWrapper(URL)
    workflow = ComfyWorkflowWrapper(graph(1))
    workflow.set_node_param("Prompt", "text", "a lighthouse at dusk")
    (name, png), = api.queue_and_wait_images(workflow, "Save").items()
    assert name.startswith("foreign_") and size(png) == (512, 384), (name, size(png))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "back.png"
        file.write_bytes(png)
        told = api.upload_image(file)
    assert api.get_image(told["name"], told["subfolder"], told["type"]) == png


def evented():
    """comfy-ui-client: connects first, and hears of the steps."""
    client = ComfyUIClient(URL.removeprefix("http://"))
    client.connect()
    workflow, steps = graph(2), []
    workflow["6"]["inputs"]["text"] = "a harbour at night"
    heard = client.get_outputs(workflow, handle_progress_event=lambda node, step, total: steps.append((node, step, total)))
    (png,) = heard["images"]["9"]["output"][""].values()
    assert size(png) == (512, 384), size(png)
    sampled = [step for node, step, total in steps if node == 3 and total == 12]
    assert len(sampled) > 3 and sampled == sorted(set(sampled)) and sampled[-1] == 12 and steps[-1][0] == 9, steps


def questions():
    """What clients ask before they begin."""
    api = ComfyApiWrapper(URL)
    assert api.get_system_stats()["system"]["comfyui_version"].lstrip("v") == WHERE
    assert "KSampler" in api.get_object_info("KSampler")
    assert api.get_queue() == {"queue_running": [], "queue_pending": []}
    assert isinstance(api.get_embeddings(), list)


for check in (questions, simplified, evented):
    try:
        check()
        print(f"ok    comfy {WHERE}: {check.__doc__.splitlines()[0].rstrip('.')}", flush=True)
    except Exception as e:  # whatever it is, it is what the line says
        print(f"FAIL  comfy {WHERE}: {check.__name__}: {' '.join(repr(e).split())[:600]}", flush=True)
