// Players of others, each in a page that holds nothing else.

import { readFile, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { posix } from 'node:path';

/** A page that runs a script of a package, and then what plays `url` in the element `v`, and gives to
 * `tell` what it says of events in the stream. */
const page = (script, play) => (url) => `<!doctype html><meta charset="utf-8">
<video id="v" muted autoplay playsinline controls width="640" height="360"></video>
<script src="/${script}"></script><script>const url = ${JSON.stringify(url)};
window.told = [];
const tell = (event) => told.some(({ id }) => id === event.id) || told.push({ ...event, at: v.currentTime });
${play}</script>`;

const PAGES = {
  'hls.js': page('hls.js/dist/hls.min.js', `
    const p = new Hls();
    p.loadSource(url);
    p.attachMedia(v);
    // By its attribute alone Firefox begins once it has three seconds.
    p.on(Hls.Events.MANIFEST_PARSED, () => v.play());
    // What is said at a time is a cue then, by its class and what it says.
    v.textTracks.addEventListener('addtrack', ({ track }) => track.addEventListener('cuechange', () => {
      for (const { id, startTime, value } of track.activeCues) {
        const range = p.latestLevelDetails?.dateRanges[id];
        if (range && value.key === 'X-DATA') {
          tell({ id, kind: range.class, start: startTime, data: decodeURIComponent(value.data) });
        }
      }
    }));
    p.on(Hls.Events.ERROR, (_, { details, fatal, reason }) => console.warn(details, fatal, reason));`),
  shaka: page('shaka-player/dist/shaka-player.compiled.js', `(async () => {
    shaka.polyfill.installAll();
    const p = new shaka.Player();
    await p.attach(v);
    p.configure('streaming.lowLatencyMode', true);
    await p.load(url);
    v.play();
  })();`),
  'video.js': page('video.js/dist/video.min.js', `
    const p = videojs(v, { html5: { vhs: { llhls: false, overrideNative: true } } });
    p.src({ src: url, type: 'application/vnd.apple.mpegurl' });
    p.play();`),
  // It would ask a server of somebody else for the time.
  'dash.js': page('dashjs/dist/modern/umd/dash.all.min.js', `
    const p = dashjs.MediaPlayer().create();
    p.updateSettings({ streaming: { utcSynchronization: { defaultTimingSource: {
      scheme: 'urn:mpeg:dash:utc:http-iso:2014', value: new URL('/time', url).href } } } });
    p.on('urn:openrtmp:data', ({ event: { id, eventStream, calculatedPresentationTime, messageData } }) => tell({
      id: String(id),
      kind: eventStream.schemeIdUri + ':' + eventStream.value,
      start: calculatedPresentationTime,
      data: new TextDecoder().decode(messageData),
    }), null, { mode: dashjs.MediaPlayer.events.EVENT_MODE_ON_START });
    p.initialize(v, url, true);`),
  'mpegts.js': page('mpegts.js/dist/mpegts.js', `
    const p = mpegts.createPlayer({ type: 'flv', isLive: true, url },
      { enableStashBuffer: false, liveSync: true });
    // What nobody listens to is thrown.
    p.on(mpegts.Events.ERROR, (...told) => console.warn(...told));
    p.attachMediaElement(v);
    p.load();
    p.play();`),
  // It comes in modules alone, as bundlers want them.
  'rx-player': (url) => `<!doctype html><meta charset="utf-8">
    <video id="v" muted autoplay playsinline controls width="640" height="360"></video>
    <script type="module">
    import RxPlayer from '/rx-player/dist/es2017/index.js';
    const p = new RxPlayer({ videoElement: document.getElementById('v') });
    p.loadVideo({ url: ${JSON.stringify(url)}, transport: 'dash', autoPlay: true });
    </script>`,
};

/** The file that a path means, as bundlers find it. */
async function found(modules, asked) {
  const path = posix.normalize(asked);
  for (const end of ['', '.js', '/index.js']) {
    const is = await stat(`${modules}/node_modules${path}${end}`).catch(() => null);
    if (is?.isFile()) {
      return path + end;
    }
  }
  return null;
}

/** Serves the page of a player that plays a URL; resolves to the server and its address. */
export async function serve(player, url, modules) {
  const site = createServer(async (request, answer) => {
    if (request.url === '/') {
      answer.setHeader('Content-Type', 'text/html');
      answer.end(PAGES[player](url));
      return;
    }
    const file = await found(modules, request.url);
    if (file === null) {
      answer.writeHead(404).end();
    } else if (file !== request.url) {
      // What it imports is meant from where it is.
      answer.writeHead(302, { Location: file }).end();
    } else {
      answer.setHeader('Content-Type', 'text/javascript');
      answer.end(await readFile(`${modules}/node_modules${file}`));
    }
  });
  await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve));
  return { site, address: `http://127.0.0.1:${site.address().port}` };
}

/** Serves a file, piece by piece as it is asked for, and a page of its video alone. */
export async function serveFile(name, type) {
  const site = createServer(async (request, answer) => {
    if (request.url === '/') {
      answer.setHeader('Content-Type', 'text/html');
      answer.end('<!doctype html><meta charset="utf-8"><video id="v" muted src="/file"></video>');
      return;
    }
    if (request.url !== '/file') {
      answer.writeHead(404).end();
      return;
    }
    const bytes = await readFile(name);
    const [, from, to] = request.headers.range?.match(/^bytes=(\d+)-(\d*)$/) ?? [];
    answer.setHeader('Content-Type', type);
    answer.setHeader('Accept-Ranges', 'bytes');
    if (from === undefined) {
      answer.end(bytes);
      return;
    }
    const last = Math.min(Number(to || bytes.length - 1), bytes.length - 1);
    answer.setHeader('Content-Range', `bytes ${from}-${last}/${bytes.length}`);
    answer.writeHead(206);
    answer.end(bytes.subarray(Number(from), last + 1));
  });
  await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve));
  return { site, address: `http://127.0.0.1:${site.address().port}` };
}
