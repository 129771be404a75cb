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

import { serve, serveFile } from './bare.mjs';
import { deliveredScenes } from './delivered.mjs';
import * as inside from './inside.mjs';

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

const browser = await puppeteer.launch({
  headless: true,
  acceptInsecureCerts: true,
  // What is watched is one call, however long.
  protocolTimeout: 0,
  ...LAUNCH[browserName],
});
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
const faults = [];
const elsewhere = [];
/** Where what is not the server's may come from all the same. */
const { origin } = new URL(url);
// Of a WebSocket some browsers tell as of the request that it begins with.
const ours = [origin, origin.replace(/^ws/, 'http')];
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
  if (!/^(blob|data|about):/.test(asked) && !ours.includes(new URL(asked).origin)) {
    elsewhere.push(asked);
  }
});

const until = (look, ...args) => page.waitForFunction(look, { timeout: 40000, polling: 100 }, ...args);
const playing = () => until(() => {
  const video = document.querySelector('video');
  return video && !video.paused && video.readyState > 2 && video.currentTime > 0;
});

/** What the menu has, which is open. */
const choices = () => page.evaluate(() => [...document.querySelectorAll('#menu fieldset')].map((group) => ({
  title: group.querySelector('legend').textContent,
  items: [...group.querySelectorAll('button')].map((it) => it.textContent),
})));

const noteStops = () => page.evaluate(inside.noteStops);

/** Opens a page of our own site. */
async function visit({ address }) {
  ours.push(address);
  await page.goto(`${address}/`);
}

/** Opens the stream's page, or that of a player of somebody else's. */
async function open() {
  if (options.player) {
    await visit(await serve(options.player, url, process.env.MODULES));
  } else {
    await page.goto(url);
  }
}

/** What was noted until now. */
const noted = () => page.evaluate(() => ({ ...window.noted, ended: Date.now() }));

/** Reads the time that the publisher painted in each frame, for so many seconds. */
async function watch(seconds, base) {
  await noteStops();
  await page.evaluate(inside.readPainted);
  const seen = await page.evaluate(async (seconds, base) => {
    const video = document.querySelector('video');
    const latencies = [];
    const rates = [];
    let unread = 0;
    let frames = 0;
    let longest = 0;
    let last = performance.now();
    const began = performance.now();
    const from = video.currentTime;
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, seconds * 1000 + 5000);
      const look = () => {
        const now = performance.now();
        longest = Math.max(longest, now - last);
        last = now;
        frames += 1;
        const painted = window.painted(video);
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
      // What is there already is not asked for.
      spoken: [...new Set(performance.getEntriesByType('resource').map((it) => it.nextHopProtocol))].filter(Boolean),
      state: window.openrtmp?.state,
    };
  }, seconds, base);
  return { ...seen, ...await noted() };
}

/** Opens the menu, and waits until it offers something with this beginning: what there is to choose
 * from is known once it plays. */
const offers = (name) => until((name) => (document.getElementById('menu').hidden
  ? document.getElementById('menu-button').click()
  : [...document.querySelectorAll('#menu button')].some((it) => it.textContent.startsWith(name))), name);

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
  ...deliveredScenes({ page, url, options, faults, until }),

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

  /** Holds the player's script back until there are pictures, and plays on. */
  async held() {
    await page.setRequestInterception(true);
    let release;
    const released = new Promise((resolve) => {
      release = resolve;
    });
    page.on('request', async (request) => {
      if (request.url().endsWith(options.script)) {
        await released;
      }
      request.continue();
    });
    await page.goto(url, { waitUntil: 'domcontentloaded' });
    await playing();
    const before = await page.evaluate(() => ({
      hasPlayer: 'Hls' in window,
      isPlaying: window.openrtmp.state.isPlaying,
    }));
    const watched = watch(Number(options.seconds), Number(options.base));
    release();
    return { before, ...await watched };
  },

  /** Opens the page so many times, as somebody who was never there: when the first picture is
   * painted, in milliseconds from the start of the navigation, and what was asked for until then. */
  async first() {
    await page.close();
    const seen = [];
    for (let turn = 0; turn < Number(options.count); turn += 1) {
      const context = await browser.createBrowserContext();
      const visit = await context.newPage();
      await visit.evaluateOnNewDocument(inside.noteSteps);
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
    await visit({ address });
    const handle = await page.waitForSelector('iframe');
    const frame = await handle.contentFrame();
    await frame.waitForFunction(() => document.querySelector('video')?.currentTime > 2, { timeout: 40000, polling: 100 });
    const seen = await frame.evaluate(() => ({
      bar: getComputedStyle(document.querySelector('.bar')).display,
      out: document.getElementById('out').getAttribute('href'),
      height: document.getElementById('player').clientHeight,
    }));
    site.close();
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
    const groups = await choices();
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
    await open();
    await playing();
    await new Promise((resolve) => setTimeout(resolve, Number(options.settle ?? 3) * 1000));
    return watch(Number(options.seconds), Number(options.base));
  },

  /** What a player of somebody else's tells of events in the stream, until there are so many. */
  async events() {
    await open();
    await playing();
    await until((count) => window.told.length >= count, Number(options.count));
    return page.evaluate(() => window.told);
  },

  /** Plays, tells it, and goes on until so many more frames were shown, of this width in the
   * end, whatever becomes of the stream. */
  async survive() {
    await page.evaluateOnNewDocument(inside.countFrames);
    await open();
    await playing();
    await page.evaluate(inside.noteStops);
    const turn = await page.evaluate(() => window.openrtmp?.state.turn ?? 0);
    // Whoever begins nearer to what is newest than it can stay has stopped by then.
    await new Promise((resolve) => setTimeout(resolve, Number(options.settle ?? 0) * 1000));
    say({ event: 'playing' });
    await lines.next();
    const changed = Date.now();
    const [frames, width] = [Number(options.frames), Number(options.wide ?? 0)];
    const shown = await page.evaluate(() => window.shown);
    const goesOn = until((least, width) => {
      const video = document.querySelector('video');
      return window.shown > least && (!width || video.videoWidth === width);
    }, shown + frames, width);
    // Ours has to, and says why not; of others it is told.
    const wentOn = await goesOn.then(() => true, (error) => {
      if (!options.player) {
        throw error;
      }
      return false;
    });
    // Sound that is played is decoded, whether it is let be heard or not.
    const decoded = () => page.evaluate(() => document.querySelector('video').webkitAudioDecodedByteCount);
    const before = await decoded();
    await new Promise((resolve) => setTimeout(resolve, 2000));
    const after = await decoded();
    const state = await page.evaluate(() => window.openrtmp?.state ?? {});
    return { ...state, ...await noted(), changed, torn: (state.turn ?? 0) - turn, wentOn, hasSound: after > before, spoken };
  },

  /** A recording: is played to its end, and sought to and fro. Which time is painted in the frame
   * that stands at each time of it, by both. */
  async recording() {
    await visit(await serveFile(options.file, 'video/mp4'));
    await page.evaluate(inside.readPainted);
    return page.evaluate(async (times) => {
      const video = document.querySelector('video');
      const played = [];
      const look = (_, { mediaTime }) => {
        played.push([mediaTime, window.painted(video)]);
        video.requestVideoFrameCallback(look);
      };
      video.requestVideoFrameCallback(look);
      const ended = new Promise((resolve) => {
        video.addEventListener('ended', resolve);
      });
      await video.play();
      await ended;
      const { duration, error } = video;
      const whole = played.splice(0);
      const sought = [];
      for (const time of times) {
        const shown = new Promise((resolve) => {
          video.requestVideoFrameCallback((_, { mediaTime }) => resolve([time, mediaTime, window.painted(video)]));
        });
        video.currentTime = time;
        sought.push(await shown);
      }
      return { duration, error: error?.message ?? null, played: whole, sought };
    }, options.times.split(',').map(Number));
  },

  /** Chooses something in the menu by the beginning of its name, or nothing without one, each of
   * them with `+` between them, and waits until it is so: pictures of a width, sound of a frequency.
   * What there was to choose from in the end. */
  async chosen() {
    await page.goto(url);
    await playing();
    const seen = [];
    for (const [name, wide, hertz] of options.choose.split('+').map((it) => it.split(':'))) {
      if (name) {
        await offers(name);
        await page.evaluate((name) => {
          [...document.querySelectorAll('#menu button')].find((it) => it.textContent.startsWith(name)).click();
        }, name);
      }
      if (wide) {
        await shows(wide);
      }
      if (hertz) {
        await page.evaluate(() => {
          document.querySelector('video').muted = false;
        });
        for (let near = false; !near;) {
          const is = await page.evaluate(inside.heard);
          near = is !== null && Math.abs(is - Number(hertz)) < 20;
          await new Promise((resolve) => setTimeout(resolve, 100));
        }
      }
      seen.push(name);
    }
    await playing();
    await offers('');
    return { seen, groups: await choices(), state: await page.evaluate(() => window.openrtmp.state) };
  },

  /** A list with a stream whose picture cannot be drawn: what is there instead. */
  async blank() {
    await page.goto(url);
    await until(() => document.querySelector('.card[data-picture]'));
    return page.evaluate(() => {
      const card = document.querySelector('.card');
      const drawing = card.querySelector('.placeholder svg');
      const { left, top, width, height } = drawing.getBoundingClientRect();
      return {
        picture: card.dataset.picture,
        isOnTop: card.querySelector('.frame').contains(document.elementFromPoint(left + width / 2, top + height / 2)),
        isShown: drawing.checkVisibility() && width > 20 && !card.querySelector('canvas')?.checkVisibility(),
        facts: card.querySelector('.card-facts').textContent,
      };
    });
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
    return page.evaluate(inside.fits);
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
