"""Seeks in a file with GStreamer, as players do, and prints for each time the SHA-256 of the packet
that a decoder would begin with:

    seek.py FILE SECONDS..."""

import hashlib
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import Gst

PATIENCE = 20 * Gst.SECOND

Gst.init(None)
file, *times = sys.argv[1:]
pipeline = Gst.parse_launch(
    "filesrc name=source ! qtdemux name=demux demux.video_0 ! fakesink name=sink"
)
pipeline.get_by_name("source").set_property("location", file)
came = []


def note(_, info):
    """Whatever a decoder takes, which may begin at the beginning of a fragment and has nothing to
    show before the next key frame, also what it takes and does not show."""
    buffer = info.get_buffer()
    if not came and buffer.has_flags(Gst.BufferFlags.DELTA_UNIT):
        return Gst.PadProbeReturn.DROP
    came.append(buffer.extract_dup(0, buffer.get_size()))
    return Gst.PadProbeReturn.OK


pad = pipeline.get_by_name("sink").get_static_pad("sink")
pad.add_probe(Gst.PadProbeType.BUFFER, note)
pipeline.set_state(Gst.State.PAUSED)


def wait():
    """Until the first packet is there."""
    bus = pipeline.get_bus()
    kinds = Gst.MessageType.ASYNC_DONE | Gst.MessageType.ERROR
    message = bus.timed_pop_filtered(PATIENCE, kinds)
    if message is None or message.type == Gst.MessageType.ERROR:
        sys.exit(f"no packet: {message and message.parse_error()}")


wait()
for time in times:
    came.clear()
    flags = Gst.SeekFlags.FLUSH | Gst.SeekFlags.KEY_UNIT
    # What came before it is over when this is back.
    if not pipeline.seek_simple(Gst.Format.TIME, flags, int(float(time) * Gst.SECOND)):
        sys.exit(f"it cannot be sought to {time}")
    wait()
    print(hashlib.sha256(came[0]).hexdigest())
pipeline.set_state(Gst.State.NULL)
