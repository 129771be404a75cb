// What playing begins with, asked for before hls.js is there: one answer names the next, and each
// takes its time. hls.js takes the answers.

import { beginningAt, dateToPlay, readMaster } from './playlists.js';

/** Milliseconds for which an answer is as good as one that is asked for now. */
const FRESH = 3000;

/** Milliseconds after which it is not waited for, nor kept if nobody has taken it. */
const PATIENCE = 5000;

/** By URLs: what was asked for and not taken yet. */
const asked = new Map();

async function answer(url, kind, signal) {
  const began = performance.now();
  const response = await fetch(url, { credentials: 'same-origin', signal });
  const first = performance.now();
  if (!response.ok) {
    throw new Error(`status ${response.status}`);
  }
  const data = await response[kind]();
  const end = performance.now();
  return { url: response.url, data, waited: first - began, read: end - first, end };
}

/** Asks for something that whoever plays will want. */
function ask(place, base, kind) {
  const url = new URL(place, base).href;
  const limit = new AbortController();
  const coming = answer(url, kind, limit.signal);
  // If one fails, it is asked for again when it is needed, and said then.
  coming.catch(() => {});
  asked.set(url, coming);
  setTimeout(() => {
    asked.delete(url);
    limit.abort();
  }, PATIENCE);
  return coming;
}

/** Asks for what a track begins with. */
function askFor(playlist, date) {
  const beginning = beginningAt(playlist.data, date);
  const load = (url) => ask(url, playlist.url, 'arrayBuffer');
  const header = load(beginning.header);
  const parts = beginning.parts.filter((it) => !it.isGap).map((it) => ({ ...it, coming: load(it.url) }));
  return { ...beginning, header, parts, came: playlist.end };
}

/** Asks for what playing begins with, and tells of it: the tracks of the first size, the pictures
 * first, each with a promise of its `beginning`. */
export async function askAhead(place) {
  const master = await ask(place, location.href, 'text');
  const { isAlone, tracks } = readMaster(master.data);
  const playlists = tracks.map(({ url }) => ask(url, master.url, 'text'));
  const date = playlists[0].then(({ data }) => dateToPlay(data));
  const begun = tracks.map((track, place) => {
    const beginning = Promise.all([playlists[place], date]).then((told) => askFor(...told));
    beginning.catch(() => {});
    return { ...track, beginning };
  });
  return { isAlone, tracks: begun };
}

/** Whether an answer that came then, by `performance.now()`, is as good for another second. */
export const isFresh = (end) => performance.now() - end < FRESH - 1000;

/** Takes what was asked for, once; null if it was not. */
function take({ url, rangeEnd }) {
  const { href } = new URL(url, location.href);
  const coming = rangeEnd ? undefined : asked.get(href);
  asked.delete(href);
  return coming ?? null;
}

/** What hls.js loads by: it takes what was asked for already. */
export const takesAhead = (Loader) => class extends Loader {
  loadInternal() {
    const coming = take(this.context);
    if (coming) {
      this.isAhead = true;
      this.loadAhead(coming);
    } else {
      super.loadInternal();
    }
  }

  async loadAhead(coming) {
    const { context, stats } = this;
    const told = await coming.catch(() => null);
    this.isAhead = false;
    if (this.context !== context || stats.aborted) {
      return;
    }
    const now = performance.now();
    if (!told || now - told.end > FRESH) {
      super.loadInternal();
      return;
    }
    // It took as long as it did, and not as long as it lay here.
    stats.loading.start = now - told.read - told.waited;
    stats.loading.first = now - told.read;
    stats.loading.end = now;
    stats.loaded = told.data.byteLength ?? told.data.length;
    stats.total = stats.loaded;
    this.callbacks.onSuccess({ url: told.url, data: told.data, code: 200 }, stats, context, null);
  }

  abortInternal() {
    if (this.isAhead) {
      this.stats.aborted = true;
    }
    super.abortInternal();
  }
};
