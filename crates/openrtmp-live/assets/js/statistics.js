// What can be told of how it goes, in numbers.

import { make } from './dom.js';
import { behindBuffer } from './engines.js';

/** Counts what happens to a video element. */
export class Counter {
  constructor(video) {
    this.video = video;
    this.reset();
    video.addEventListener('waiting', () => this.wait());
    video.addEventListener('playing', () => this.go());
    video.addEventListener('seeking', () => {
      this.hasSought = true;
    });
    video.addEventListener('pause', () => this.forget());
  }

  /** Another engine begins. */
  reset() {
    this.began = performance.now();
    this.first = null;
    this.stalls = 0;
    this.stalled = 0;
    this.since = null;
    this.hasSought = false;
    this.frames = null;
    this.rate = null;
  }

  wait() {
    // Until the first picture it is no stall, nor is what was asked for.
    if (this.first !== null && this.since === null && !this.hasSought && !this.video.paused) {
      this.stalls += 1;
      this.since = performance.now();
    }
  }

  go() {
    this.first ??= performance.now() - this.began;
    this.hasSought = false;
    this.forget();
  }

  forget() {
    if (this.since !== null) {
      this.stalled += performance.now() - this.since;
      this.since = null;
    }
  }

  /** Pictures in a second, since the last time this was asked. */
  frameRate() {
    const total = this.video.getVideoPlaybackQuality?.().totalVideoFrames ?? 0;
    const now = performance.now();
    const before = this.frames;
    if (!before || now - before.at > 900) {
      this.frames = { total, at: now };
      if (before) {
        this.rate = ((total - before.total) * 1000) / (now - before.at);
      }
    }
    return this.rate;
  }
}

/** What the browser speaks with the server: h2, http/1.1. */
function spoken() {
  const entries = performance.getEntriesByType('resource');
  return entries.at(-1)?.nextHopProtocol || performance.getEntriesByType('navigation')[0]?.nextHopProtocol || '';
}

/** Shows it all in a list. */
export function show(list, { video, counter, engine, playing, stream }) {
  const quality = video.getVideoPlaybackQuality?.();
  const rate = counter.frameRate();
  const latency = playing?.latency() ?? null;
  const seconds = (value, digits = 2) => (value === null ? '' : `${value.toFixed(digits)} s`);
  const lines = [
    ['Stream', stream?.name ?? ''],
    ['Engine', engine?.label ?? ''],
    ['Spoken', spoken()],
    ['Picture', video.videoWidth ? `${video.videoWidth}×${video.videoHeight}` : ''],
    ['Frames', rate === null ? '' : `${rate.toFixed(1)} in a second`],
    ['Dropped', quality ? `${quality.droppedVideoFrames} of ${quality.totalVideoFrames}` : ''],
    ...(playing?.details() ?? []),
    ['Latency', seconds(latency)],
    ['Buffer', seconds(behindBuffer(video))],
    ['Speed', `${video.playbackRate.toFixed(2)}×`],
    ['First picture', counter.first === null ? '' : `${Math.round(counter.first)} ms`],
    ['Stalls', counter.stalls ? `${counter.stalls}, ${(counter.stalled / 1000).toFixed(1)} s` : '0'],
  ];
  list.replaceChildren(...lines.filter(([, text]) => text).flatMap(([name, text]) => [
    make('dt', { textContent: name }),
    make('dd', { textContent: text }),
  ]));
}
