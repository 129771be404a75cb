// What hls.js asks for first, asked for before its script is there: one answer names the next, and
// each takes its time.

/** Milliseconds for which an answer is as good as one that is asked for now. */
const FRESH = 2000;

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

/** The URLs of the first size and of the sound that it begins with. */
function tracks(master) {
  const lines = master.split('\n');
  const size = lines[lines.findIndex((line) => line.startsWith('#EXT-X-STREAM-INF:')) + 1];
  const sounds = lines.filter((line) => line.startsWith('#EXT-X-MEDIA:') && line.includes('TYPE=AUDIO'));
  const sound = sounds.find((line) => line.includes('DEFAULT=YES')) ?? sounds[0];
  return [size, sound?.match(/URI="([^"]+)"/)?.[1]].filter(Boolean);
}

/** The URLs of the header, and of the parts up to the first that is shown. */
function beginning(playlist) {
  const held = Number(playlist.match(/PART-HOLD-BACK=([\d.]+)/)?.[1] ?? 0);
  const parts = playlist.split('\n').filter((line) => line.startsWith('#EXT-X-PART:'));
  let behind = 0;
  let shown = parts.length - 1;
  for (; shown > 0; shown -= 1) {
    behind += Number(parts[shown].match(/DURATION=([\d.]+)/)?.[1] ?? 0);
    if (behind >= held) {
      break;
    }
  }
  // A decoder begins at a key frame.
  const first = parts.findLastIndex((line, place) => place <= shown && line.includes('INDEPENDENT=YES'));
  const wanted = parts.slice(Math.max(first, 0), shown + 1).filter((line) => !line.includes('GAP=YES'));
  const header = playlist.match(/^#EXT-X-MAP:URI="([^"]+)"/m);
  return [header, ...wanted.map((line) => line.match(/URI="([^"]+)"/))].flatMap((it) => it?.[1] ?? []);
}

/** Asks for what playing begins with. */
export async function askAhead(place) {
  const master = await ask(place, location.href, 'text');
  await Promise.all(tracks(master.data).map(async (track) => {
    const playlist = await ask(track, master.url, 'text');
    for (const part of beginning(playlist.data)) {
      ask(part, playlist.url, 'arrayBuffer');
    }
  }));
}

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
