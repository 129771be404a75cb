// Drives a browser through one scene, as `tests/browsers.rs` tells it:
//
//   node drive.mjs BROWSER SCENE URL [NAME=VALUE...]
//
// BROWSER is chromium or firefox; MODULES is the folder whose node_modules has puppeteer-core. Each event is
// a line of JSON on standard output, the last one the scene's outcome; a line on standard
// input tells that something has been done that was asked for.

import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

import { serve } from './bare.mjs';

const require = createRequire(`${process.env.MODULES}/`);
const { default: puppeteer } = await import(require.resolve('puppeteer-core'));

const [browserName, scene, url, ...rest] = process.argv.slice(2);
const options = Object.fromEntries(rest.map((it) => it.split(/=(.*)/s).slice(0, 2)));
const say = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);
const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

const LAUNCH = {
  chromium: {
    browser: 'chrome',
    executablePath: process.env.CHROMIUM || '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync',
      '--autoplay-policy=no-user-gesture-required', '--mute-audio', '--ignore-certificate-errors'],
  },
  firefox: {
    browser: 'firefox',
    executablePath: process.env.FIREFOX || '/usr/bin/firefox-esr',
    extraPrefsFirefox: {
      'media.autoplay.default': 0,
      'media.autoplay.blocking_policy': 0,
      'network.captive-portal-service.enabled': false,
      'network.connectivity-service.enabled': false,
      'app.update.enabled': false,
      'media.gmp-manager.updateEnabled': false,
    },
  },
};

const browser = await puppeteer.launch({ headless: true, acceptInsecureCerts: true, ...LAUNCH[browserName] });
// Whoever waits for this ends it without a word: no browser stays behind it.
setTimeout(async () => {
  say({ failed: 'it took too long' });
  await browser.close();
  process.exit(1);
}, Number(options.limit ?? 100) * 1000);
const page = await browser.newPage();
await page.setViewport({
  width: Number(options.width ?? 1280),
  height: Number(options.height ?? 800),
  deviceScaleFactor: Number(options.scale ?? 1),
});
if (options.dark) {
  await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: 'dark' }]);
}

// What goes wrong in a page, and what is asked for from elsewhere.
const origin = new URL(url).origin;
const faults = [];
const elsewhere = [];
page.on('dialog', async (dialog) => {
  faults.push(`dialog: ${dialog.message()}`);
  await dialog.dismiss();
});
page.on('pageerror', (error) => faults.push(`error: ${error?.message ?? error}`));
/** What the page said last, for when it fails. */
const spoken = [];
page.on('console', (message) => {
  spoken.push(message.text().slice(0, 300));
  spoken.splice(0, spoken.length - 12);
  if (/Content.Security.Policy|violates/i.test(message.text())) {
    faults.push(`policy: ${message.text()}`);
  }
});
page.on('response', (response) => {
  if (response.status() >= 400) {
    spoken.push(`${response.status()} ${response.url()}`);
  }
});
page.on('request', (request) => {
  const asked = request.url();
  if (!/^(blob|data|about):/.test(asked) && new URL(asked).origin !== origin) {
    elsewhere.push(asked);
  }
});

const until = (look, ...args) => page.waitForFunction(look, { timeout: 40000, polling: 100 }, ...args);
const playing = () => until(() => {
  const video = document.querySelector('video');
  return video && !video.paused && video.readyState > 2 && video.currentTime > 0;
});

/** Notes in a page, before anything of it runs, when what leads to the first picture is done for
 * the first time: milliseconds since the navigation began. */
function noteSteps() {
  window.steps = {};
  const note = (name) => {
    window.steps[name] ??= Math.round(performance.now());
  };
  for (const name of ['Hls', 'mpegts', 'dashjs']) {
    let value;
    Object.defineProperty(window, name, {
      configurable: true,
      get: () => value,
      set(it) {
        value = it;
        note('player there');
      },
    });
  }
  const wrap = (kind, name, before) => {
    const own = kind.prototype[name];
    kind.prototype[name] = function wrapped(...given) {
      before(this);
      return own.apply(this, given);
    };
  };
  const numbers = new WeakMap();
  wrap(MediaSource, 'addSourceBuffer', () => note('room'));
  wrap(SourceBuffer, 'appendBuffer', (buffer) => {
    // The first of each is its header.
    const number = (numbers.get(buffer) ?? 0) + 1;
    numbers.set(buffer, number);
    note(number === 1 ? 'header' : 'media');
  });
  window.firstPicture = new Promise((resolve) => {
    const look = () => {
      const video = document.querySelector('video');
      if (!video) {
        requestAnimationFrame(look);
        return;
      }
      for (const name of ['loadstart', 'loadedmetadata', 'loadeddata', 'seeking', 'seeked', 'playing']) {
        video.addEventListener(name, () => note(name));
      }
      video.requestVideoFrameCallback((now, frame) => resolve(Math.max(now, frame.expectedDisplayTime)));
    };
    look();
  });
}

/** Notes in a page from when to when its video stopped, and for how long the machine had no time
 * for the page: what else that does is not ours. Milliseconds since 1970. */
async function noteStops() {
  await page.evaluate(() => {
    const video = document.querySelector('video');
    const noted = { began: Date.now(), stops: [], away: [] };
    window.noted = noted;
    let ticked = Date.now();
    setInterval(() => {
      const now = Date.now();
      // It is a tick that was due.
      if (now - ticked > 100) {
        noted.away.push({ from: ticked + 50, to: now });
      }
      ticked = now;
    }, 50);
    const goesOn = () => {
      const last = noted.stops.at(-1);
      if (last && last.to === null) {
        last.to = Date.now();
      }
    };
    video.addEventListener('waiting', () => {
      goesOn();
      noted.stops.push({ from: Date.now(), to: null });
    });
    for (const event of ['playing', 'timeupdate']) {
      video.addEventListener(event, () => video.readyState > 2 && goesOn());
    }
  });
}

/** What was noted until now. */
const noted = () => page.evaluate(() => ({ ...window.noted, ended: Date.now() }));

/** Reads the time that the publisher painted in each frame, for so many seconds. */
async function watch(seconds, base) {
  await noteStops();
  const seen = await page.evaluate(async (seconds, base) => {
    const video = document.querySelector('video');
    const canvas = document.createElement('canvas');
    const [blocks, side] = [24, 20];
    canvas.width = blocks;
    canvas.height = 1;
    const context = canvas.getContext('2d', { willReadFrequently: true });
    const latencies = [];
    const rates = [];
    let unread = 0;
    let frames = 0;
    let longest = 0;
    let last = performance.now();
    const read = () => {
      // The middle of each block.
      context.drawImage(video, 0, side / 2 - 1, blocks * side, 2, 0, 0, blocks, 1);
      const { data } = context.getImageData(0, 0, blocks, 1);
      const bits = Array.from({ length: blocks }, (_, place) => data[place * 4 + 1] > 127);
      const [on, off, ...others] = bits;
      const end = others.splice(-2);
      if (!on || off || !end[0] || end[1]) {
        return null;
      }
      return others.reduce((sum, bit, place) => sum + (bit ? 2 ** place : 0), 0);
    };
    const began = performance.now();
    const from = video.currentTime;
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, seconds * 1000 + 5000);
      const look = () => {
        const now = performance.now();
        longest = Math.max(longest, now - last);
        last = now;
        frames += 1;
        const painted = read();
        if (painted === null) {
          unread += 1;
        } else {
          const range = 2 ** 20;
          latencies.push(((Date.now() - base) % range + range - painted) % range);
          rates.push(video.playbackRate);
        }
        if (now - began < seconds * 1000) {
          video.requestVideoFrameCallback(look);
        } else {
          clearTimeout(timer);
          resolve();
        }
      };
      video.requestVideoFrameCallback(look);
    });
    latencies.sort((a, b) => a - b);
    const at = (part) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * part))] ?? null;
    return {
      seconds: (performance.now() - began) / 1000,
      played: video.currentTime - from,
      frames,
      unread,
      longest: Math.round(longest),
      p5: at(0.05),
      p50: at(0.5),
      p95: at(0.95),
      spoken: performance.getEntriesByType('resource').at(-1)?.nextHopProtocol,
      state: window.openrtmp?.state,
    };
  }, seconds, base);
  return { ...seen, ...await noted() };
}

/** Waits until the pictures have this width. */
const shows = (width) => until((width) => document.querySelector('video').videoWidth === width, Number(width));

/** How a page's network is changed from now on: milliseconds until each answer begins, and bytes
 * a second, -1 for as many as there are. */
async function limiter() {
  const network = await page.createCDPSession();
  await network.send('Network.enable');
  return (latency, bytes) => network.send('Network.emulateNetworkConditions', {
    offline: false, latency, downloadThroughput: bytes, uploadThroughput: -1,
  });
}

const scenes = {
  /** The streams that there are, with their pictures. */
  async streams() {
    await page.goto(url);
    const count = Number(options.count);
    await until((count) => document.querySelectorAll('canvas.picture:not([hidden])').length >= count, count);
    return page.evaluate(() => [...document.querySelectorAll('.card')].map((card) => {
      const canvas = card.querySelector('canvas');
      const { width, height } = canvas;
      const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
      const colours = new Set();
      for (let place = 0; place < data.length; place += 4 * 97) {
        colours.add(`${data[place] >> 5},${data[place + 1] >> 5},${data[place + 2] >> 5}`);
      }
      return {
        title: card.querySelector('.title').textContent,
        href: card.getAttribute('href'),
        state: card.querySelector('.state').textContent,
        size: canvas.dataset.size,
        colours: colours.size,
      };
    }));
  },

  /** A list without any. */
  async nothing() {
    await page.goto(url);
    await until(() => document.body.dataset.looked);
    return page.evaluate(() => ({
      title: document.getElementById('empty-title').textContent,
      cards: document.querySelectorAll('.card').length,
    }));
  },

  /** Plays for a while. */
  async play() {
    const asked = Date.now();
    await page.goto(url);
    await playing();
    const first = Date.now() - asked;
    await new Promise((resolve) => setTimeout(resolve, Number(options.settle ?? 3) * 1000));
    return { first, ...await watch(Number(options.seconds), Number(options.base)) };
  },

  /** Opens the page so many times, as somebody who was never there: when the first picture is
   * painted, in milliseconds from the start of the navigation, and what was asked for until then. */
  async first() {
    await page.close();
    const seen = [];
    for (let turn = 0; turn < Number(options.count); turn += 1) {
      const context = await browser.createBrowserContext();
      const visit = await context.newPage();
      await visit.evaluateOnNewDocument(noteSteps);
      await visit.goto(url);
      seen.push(await visit.evaluate(async () => {
        const picture = await window.firstPicture;
        const asked = performance.getEntriesByType('resource').map((it) => ({
          name: it.name.replace(location.origin, '').replace(/^.assets.[0-9a-f]+/, ''),
          from: Math.round(it.startTime),
          first: Math.round(it.responseStart),
          to: Math.round(it.responseEnd),
        }));
        const [page] = performance.getEntriesByType('navigation');
        return {
          picture,
          page: Math.round(page.responseEnd),
          steps: window.steps,
          asked: asked.filter((it) => it.from < picture),
        };
      }));
      await context.close();
      await new Promise((resolve) => setTimeout(resolve, 100 + Math.random() * 500));
    }
    return seen;
  },

  /** Plays, tells it, and goes on when the encoder is another. */
  async restart() {
    await page.goto(url);
    await playing();
    const before = await watch(2, Number(options.base));
    say({ event: 'playing' });
    await lines.next();
    await until((time) => {
      const video = document.querySelector('video');
      return !video.paused && video.readyState > 2 && video.currentTime > time + 1;
    }, await page.evaluate(() => document.querySelector('video').currentTime));
    const after = await watch(Number(options.seconds), Number(options.base));
    return { before, after };
  },

  /** Waits for a stream that is not there, and plays it when it is; and when it is again. */
  async wait() {
    await page.goto(url);
    await until(() => window.openrtmp?.state.cover === 'Not live yet');
    say({ event: 'waiting' });
    await lines.next();
    await playing();
    say({ event: 'playing' });
    await lines.next();
    await until(() => window.openrtmp.state.cover === 'The stream has ended');
    say({ event: 'ended' });
    await lines.next();
    await until(() => window.openrtmp.state.cover === null);
    await playing();
    return page.evaluate(() => window.openrtmp.state);
  },

  /** Sound without a picture. */
  async sound() {
    await page.goto(url);
    await playing();
    const from = await page.evaluate(() => document.querySelector('video').currentTime);
    await until((from) => document.querySelector('video').currentTime > from + 4, from);
    return page.evaluate(() => ({
      shown: !document.getElementById('sound').hidden,
      state: window.openrtmp.state,
    }));
  },

  /** In a page of another site. */
  async embedded() {
    const site = createServer((_, answer) => {
      answer.setHeader('Content-Type', 'text/html');
      answer.end(`<!doctype html><iframe src="${url}" width="640" height="360" allow="autoplay"></iframe>`);
    });
    await new Promise((resolve) => site.listen(0, '127.0.0.1', resolve));
    const address = `http://127.0.0.1:${site.address().port}`;
    await page.goto(`${address}/`);
    const handle = await page.waitForSelector('iframe');
    const frame = await handle.contentFrame();
    await frame.waitForFunction(() => document.querySelector('video')?.currentTime > 2, { timeout: 40000, polling: 100 });
    const seen = await frame.evaluate(() => ({
      bar: getComputedStyle(document.querySelector('.bar')).display,
      out: document.getElementById('out').getAttribute('href'),
      height: document.getElementById('player').clientHeight,
    }));
    site.close();
    elsewhere.splice(0, elsewhere.length, ...elsewhere.filter((it) => !it.startsWith(address)));
    return seen;
  },

  /** By keys alone. */
  async keyboard() {
    await page.goto(url);
    await playing();
    const look = () => page.evaluate(() => {
      const video = document.querySelector('video');
      return {
        paused: video.paused,
        muted: video.muted,
        volume: Math.round(video.volume * 10) / 10,
        stats: !document.getElementById('stats').hidden,
        help: document.getElementById('help').open,
        lines: document.querySelectorAll('#stats dt').length,
      };
    });
    const steps = {};
    const press = async (key, name = key) => {
      await page.keyboard.press(key);
      await new Promise((resolve) => setTimeout(resolve, 300));
      steps[name] = await look();
    };
    await press('m', 'sound on');
    await press('ArrowDown', 'quieter');
    await press('m', 'sound off');
    await press('k', 'pause');
    await press(' ', 'play');
    await press('i', 'statistics');
    await press('?', 'help');
    await press('Escape', 'closed');
    await new Promise((resolve) => setTimeout(resolve, 6000));
    const before = await page.evaluate(() => document.querySelector('video').currentTime);
    await press('ArrowLeft', 'back');
    const back = await page.evaluate(() => document.querySelector('video').currentTime);
    await press('l', 'live');
    await playing();
    const live = await page.evaluate(() => document.querySelector('video').currentTime);
    // The order in which the tabulator goes over what can be pressed.
    const order = [];
    await page.focus('#play');
    for (let turn = 0; turn < 6; turn += 1) {
      order.push(await page.evaluate(() => document.activeElement.id));
      await page.keyboard.press('Tab');
    }
    return { steps, wentBack: before - back, wentOn: live - back, order };
  },

  /** Asks for a key, takes one, and plays. */
  async key() {
    await page.goto(url);
    await until(() => !document.getElementById('key-form').hidden);
    const asked = await page.evaluate(() => document.getElementById('cover-title').textContent);
    const type = await page.evaluate(() => document.getElementById('key').type);
    await page.type('#key', options.key);
    await page.keyboard.press('Enter');
    await playing();
    await page.click('#share-button');
    await until(() => document.getElementById('code').naturalWidth > 0);
    const shown = await page.evaluate(() => [
      document.body.innerText,
      location.href,
      ...[...document.querySelectorAll('input')].map((it) => it.value),
      ...[...document.querySelectorAll('[src], [href]')].map((it) => it.src || it.href),
    ]);
    const isIn = (text) => text.includes(options.key) || text.includes(encodeURIComponent(options.key));
    // It is the tab's until that is closed.
    await page.reload();
    await playing();
    return { asked, type, shown: shown.length, shows: shown.filter(isIn) };
  },

  /** What can be chosen in the menu. */
  async menu() {
    await page.goto(url);
    await playing();
    await page.click('#menu-button');
    const groups = await page.evaluate(() => [...document.querySelectorAll('#menu fieldset')].map((group) => ({
      title: group.querySelector('legend').textContent,
      items: [...group.querySelectorAll('button')].map((it) => it.textContent),
    })));
    const focused = () => page.evaluate(() => [document.activeElement.textContent, document.activeElement.getAttribute('aria-checked')]);
    // The arrows go over it and choose nothing.
    const before = await page.evaluate(() => window.openrtmp.state.engine);
    const [, isChecked] = await focused();
    const gone = [];
    for (let turn = 0; turn < 9 && gone.at(-1) !== options.choose; turn += 1) {
      await page.keyboard.press('ArrowDown');
      gone.push((await focused())[0]);
    }
    const kept = before === await page.evaluate(() => window.openrtmp.state.engine);
    await page.keyboard.press('Enter');
    const back = await page.evaluate(() => document.activeElement.id);
    const chosen = isChecked === 'true' && kept && back === 'menu-button' && gone.at(-1) === options.choose;
    await new Promise((resolve) => setTimeout(resolve, 1500));
    await playing();
    const from = await page.evaluate(() => document.querySelector('video').currentTime);
    await until((from) => {
      const at = document.querySelector('video').currentTime;
      return at > from + 3 || at + 2 < from;
    }, from);
    return { groups, chosen, state: await page.evaluate(() => window.openrtmp.state) };
  },

  /** The window with links, and its code as pixels. */
  async share() {
    await page.goto(url);
    await until(() => window.openrtmp);
    await page.click('#share-button');
    await until(() => document.getElementById('code').complete && document.getElementById('code').naturalWidth > 0);
    const look = () => page.evaluate(() => ({
      link: document.getElementById('link').value,
      frame: document.getElementById('frame').value,
      code: document.getElementById('code').getAttribute('src'),
      page: location.href,
    }));
    const without = await look();
    await page.click('#with-key');
    const ticked = await look();
    await page.click('#make-code');
    const wanted = await look();
    await page.click('#share .close');
    await page.click('#share-button');
    return { without, ticked, wanted, again: await look() };
  },

  /** Paused while its encoder is another: it stays so until it is played. */
  async paused() {
    await page.goto(url);
    await playing();
    await page.keyboard.press('k');
    await until(() => window.openrtmp.state.isHalted);
    say({ event: 'paused' });
    await lines.next();
    const stays = await page.evaluate(async () => {
      const video = document.querySelector('video');
      let stays = true;
      video.addEventListener('play', () => {
        stays = false;
      });
      await new Promise((resolve) => setTimeout(resolve, 6000));
      return stays && video.paused;
    });
    await page.keyboard.press('k');
    await playing();
    return { stays };
  },

  /** A browser without the codec. */
  async undecoded() {
    await page.evaluateOnNewDocument(() => {
      // What players ask for to know whether they work at all is there, and nothing else.
      MediaSource.isTypeSupported = (type) => type.includes('avc1.42E01E');
    });
    await page.goto(url);
    await until(() => window.openrtmp?.state.cover === 'It cannot be played');
    return page.evaluate(() => ({
      text: document.getElementById('cover-text').textContent,
      retries: !document.getElementById('retry').hidden,
    }));
  },

  /** A token that is over while the page waits, and a torn answer: it goes on asking. */
  async refused() {
    const asked = [];
    await page.setRequestInterception(true);
    page.on('request', (request) => {
      const { pathname } = new URL(request.url());
      if (!pathname.includes('/api/streams')) {
        request.continue();
        return;
      }
      asked.push(pathname.startsWith('/v/') ? 'token' : 'key');
      const answers = {
        2: { status: 403, contentType: 'text/plain', body: 'the token is over' },
        4: { status: 200, contentType: 'application/json', body: '{"live": tr' },
      };
      const answer = answers[asked.length];
      if (answer) {
        request.respond(answer);
      } else {
        request.continue();
      }
    });
    await page.goto(url);
    const began = Date.now();
    while (asked.length < 6 && Date.now() - began < 60000) {
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return { asked: asked.slice(0, 6) };
  },

  /** A player of somebody else's in a page of its own. */
  async bare() {
    const { site, address } = await serve(options.player, url, process.env.MODULES);
    await page.goto(`${address}/`);
    await playing();
    await new Promise((resolve) => setTimeout(resolve, Number(options.settle ?? 3) * 1000));
    const seen = await watch(Number(options.seconds), Number(options.base));
    elsewhere.splice(0, elsewhere.length, ...elsewhere.filter((it) => !it.startsWith(address)));
    site.close();
    return seen;
  },

  /** Plays, tells it, and goes on until so many more frames were shown, of this width in the
   * end, whatever becomes of the stream. */
  async survive() {
    await page.evaluateOnNewDocument(() => {
      window.shown = 0;
      const look = () => {
        const video = document.querySelector('video');
        if (!video) {
          requestAnimationFrame(look);
          return;
        }
        const next = () => {
          window.shown += 1;
          video.requestVideoFrameCallback(next);
        };
        video.requestVideoFrameCallback(next);
      };
      look();
    });
    await page.goto(url);
    await playing();
    const began = await page.evaluate(() => window.openrtmp.state.turn);
    say({ event: 'playing' });
    await lines.next();
    const [frames, width] = [Number(options.frames), Number(options.wide ?? 0)];
    const shown = await page.evaluate(() => window.shown);
    await until((least, width) => {
      const video = document.querySelector('video');
      return window.shown > least && (!width || video.videoWidth === width);
    }, shown + frames, width);
    const state = await page.evaluate(() => window.openrtmp.state);
    return { ...state, begunAgain: state.turn - began };
  },

  /** Is let have so many bits a second for a while, and goes from one width of the pictures to
   * another and back. */
  async squeezed() {
    await page.goto(url);
    await playing();
    await shows(options.large);
    await new Promise((resolve) => setTimeout(resolve, 4000));
    await noteStops();
    const limit = await limiter();
    const times = { limited: Date.now() };
    await limit(0, Number(options.bits) / 8);
    await shows(options.small);
    times.small = Date.now();
    // Not for a moment alone.
    await new Promise((resolve) => setTimeout(resolve, 4000));
    await shows(options.small);
    times.free = Date.now();
    await limit(0, -1);
    await shows(options.large);
    times.large = Date.now();
    await new Promise((resolve) => setTimeout(resolve, 4000));
    const state = await page.evaluate(() => window.openrtmp.state);
    return { ...await noted(), times, state };
  },

  /** Waits so long for each answer, on a network with room for all: of which widths so many frames
   * were, once the large ones are there. */
  async distant() {
    const limit = await limiter();
    await limit(Number(options.latency), -1);
    await page.goto(url);
    await playing();
    await shows(options.large);
    await page.evaluate(() => {
      const video = document.querySelector('video');
      window.seen = { frames: 0, widths: {} };
      const look = (_, { width }) => {
        const { widths } = window.seen;
        window.seen.frames += 1;
        widths[width] = (widths[width] ?? 0) + 1;
        video.requestVideoFrameCallback(look);
      };
      video.requestVideoFrameCallback(look);
    });
    await until((frames) => window.seen.frames >= frames, Number(options.frames));
    return page.evaluate(async () => {
      const asked = performance.now();
      await fetch('/api/streams');
      return { ...window.seen, waited: performance.now() - asked, state: window.openrtmp.state };
    });
  },

  /** A picture of the page, for eyes. */
  async picture() {
    await page.goto(url);
    if (options.plays) {
      await playing();
    }
    if (options.cards) {
      await until((count) => document.querySelectorAll('canvas.picture:not([hidden])').length >= count, Number(options.cards));
    }
    await new Promise((resolve) => setTimeout(resolve, Number(options.settle ?? 1) * 1000));
    for (const id of (options.click ?? '').split(',').filter(Boolean)) {
      await page.mouse.move(400 + Math.random() * 9, 300);
      await page.click(id);
      await new Promise((resolve) => setTimeout(resolve, 1200));
    }
    await page.screenshot({ path: options.file });
    return {};
  },
};

try {
  const outcome = await scenes[scene]();
  say({ outcome, faults, elsewhere });
} catch (error) {
  const shown = await page.evaluate(() => {
    const video = document.querySelector('video');
    const { buffered } = video;
    return {
      text: document.body.innerText.slice(0, 600),
      state: window.openrtmp?.state,
      error: video.error?.message,
      at: video.currentTime,
      ready: video.readyState,
      rate: video.playbackRate,
      isPaused: video.paused,
      buffered: Array.from({ length: buffered.length }, (_, place) => [buffered.start(place), buffered.end(place)]),
      asked: performance.getEntriesByType('resource').slice(-24).map((it) => `${Math.round(it.startTime)} ${it.name}`),
    };
  }).catch(() => null);
  say({ failed: `${error}`, shown, faults, spoken });
  process.exitCode = 1;
} finally {
  await browser.close();
  process.exit();
}
