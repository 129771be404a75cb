// The beginning of a stream, played before hls.js is there. Here are room for media and what hls.js
// would give it first, with the times that hls.js would give it; hls.js takes over both, and goes on
// behind it.

import { askAhead, isFresh } from './ahead.js';

/** Milliseconds for which hls.js waits for the first picture, once all of the beginning is there. */
const PATIENCE = 500;

/** Seconds by which a picture may be shown later than it is decoded, as others are decoded first. */
const REORDERED = 0.15;

/** What can be taken over. */
let opened = null;

/** Resolves at an event. */
const once = (target, name) => new Promise((resolve) => {
  target.addEventListener(name, resolve, { once: true });
});

/** What is in a box within boxes (ISO/IEC 14496-12, 4.2), by the names on the way to it. */
function inside(boxes, [name, ...names]) {
  const code = [...name].reduce((sum, letter) => sum * 256 + letter.charCodeAt(0), 0);
  let [at, size] = [0, 0];
  for (; at + 8 <= boxes.byteLength; at += size) {
    size = boxes.getUint32(at);
    if (boxes.getUint32(at + 4) === code) {
      const body = new DataView(boxes.buffer, boxes.byteOffset + at + 8, size - 8);
      return names.length ? inside(body, names) : body;
    }
    if (size < 8) {
      break;
    }
  }
  throw new Error(`there is no ${name}`);
}

/** Seconds at which a part is decoded, by its own clock. The server writes `mdhd` of version 0 and
 * `tfdt` of version 1. */
function decodeTime(header, part) {
  const scale = inside(new DataView(header), ['moov', 'trak', 'mdia', 'mdhd']).getUint32(12);
  return Number(inside(new DataView(part), ['moof', 'traf', 'tfdt']).getBigUint64(4)) / scale;
}

async function append(buffer, data) {
  const ended = once(buffer, 'updateend');
  buffer.appendBuffer(data);
  await ended;
}

/** Appends what a track begins with. */
async function fill({ buffer, known, beginning }, offset) {
  const add = async (coming) => {
    const { data } = await coming;
    known.add(data);
    await append(buffer, data);
  };
  const { header, parts } = await beginning;
  await add(header);
  buffer.timestampOffset = await offset;
  for (const { coming } of parts) {
    await add(coming);
  }
}

/** hls.js appends what is there already: it is told that it has, and nothing is done. Bytes that
 * are played would have the decoder wait for the next key frame behind them. */
function skip(buffer, known) {
  buffer.appendBuffer = (data) => {
    if (known.delete(data.buffer)) {
      queueMicrotask(() => buffer.dispatchEvent(new Event('updateend')));
    } else {
      delete buffer.appendBuffer;
      buffer.appendBuffer(data);
    }
  };
}

/** Seconds to add to times of media: playlists begin at 0. */
async function offsetOf({ beginning }) {
  const { header, parts: [first] } = await beginning;
  const [{ data: ahead }, { data }] = await Promise.all([header, first.coming]);
  return first.start - decodeTime(ahead, data);
}

/** A picture is shown, or for some reason none. */
const shown = (video) => Promise.race([
  new Promise((resolve) => {
    if (video.requestVideoFrameCallback) {
      video.requestVideoFrameCallback(resolve);
    } else {
      video.addEventListener('loadeddata', resolve);
    }
  }),
  new Promise((resolve) => {
    setTimeout(resolve, PATIENCE);
  }),
]);

/** Lets a video have what is at this URL. */
async function attach(video, source, url) {
  video.src = url;
  await once(source, 'sourceopen');
  URL.revokeObjectURL(url);
}

/** Puts into it what tracks begin with, and tells when their first playlist came. */
async function fillRoom(video, source, tracks) {
  for (const track of tracks) {
    track.known = new Set();
    track.buffer = source.addSourceBuffer(typeOf(track));
  }
  const [pictures] = tracks;
  const { parts: [first], position, end, came } = await pictures.beginning;
  source.duration = Infinity;
  source.setLiveSeekableRange(0, end);
  // It is gone to as soon as there is a header.
  video.currentTime = Math.max(position, first.start + REORDERED);
  const offset = offsetOf(pictures);
  await Promise.all(tracks.map((track) => fill(track, offset)));
  return came;
}

const typeOf = ({ kind, codec }) => `${kind}/mp4;codecs=${codec}`;

/** Of several sizes hls.js chooses by itself, and sound alone is no picture. */
const canOpen = ({ isAlone, tracks }) => isAlone && tracks[0].kind === 'video'
  && tracks.every((track) => track.codec && MediaSource.isTypeSupported(typeOf(track)));

/** Has a video begin with the stream of this master playlist. Resolves when hls.js can take over, or
 * has to begin by itself. */
export async function open(video, place) {
  const asked = askAhead(place);
  // Of managed sources the browser decides when they are filled.
  if (!('MediaSource' in window) || 'ManagedMediaSource' in window) {
    return;
  }
  const source = new MediaSource();
  const url = URL.createObjectURL(source);
  const isOpen = attach(video, source, url);
  const isShown = shown(video);
  try {
    const told = await asked;
    if (!canOpen(told)) {
      throw new Error('it begins otherwise');
    }
    await isOpen;
    const came = await fillRoom(video, source, told.tracks);
    opened = { source, came, tracks: told.tracks };
    await isShown;
  } catch {
    opened = null;
    // Unless it is another's by now.
    if (video.src === url) {
      video.removeAttribute('src');
      video.load();
    }
  }
}

/** Has a source give these buffers, each once, instead of new ones. */
function lend(source, tracks) {
  const left = [...tracks];
  source.addSourceBuffer = (type) => {
    const place = left.findIndex(({ kind }) => type.startsWith(kind));
    return place < 0 ? MediaSource.prototype.addSourceBuffer.call(source, type) : left.splice(place, 1)[0].buffer;
  };
}

/** What is to be attached to hls.js for this video: with what is open, if it can be gone on with. */
export function takeOpened(video) {
  const is = opened;
  opened = null;
  if (!is || !isFresh(is.came) || is.source.readyState !== 'open') {
    return { media: video };
  }
  lend(is.source, is.tracks);
  is.tracks.forEach(({ buffer, known }) => skip(buffer, known));
  return { media: video, mediaSource: is.source };
}
