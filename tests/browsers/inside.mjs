// What is run in pages: each function stands by itself, as its text alone gets there.

/** Notes in a page, before anything of it runs, when what leads to the first picture is done for
 * the first time: milliseconds since the navigation began. */
export function noteSteps() {
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

/** Notes from when to when the video stopped, and for how long the machine had no time for the page:
 * what else that does is not ours. Milliseconds since 1970. And how often it was given something
 * else to play, which is to begin anew. */
export function noteStops() {
  const video = document.querySelector('video');
  const noted = { began: Date.now(), stops: [], away: [], begunAgain: 0 };
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
    // It may be said twice of one.
    if (noted.stops.at(-1)?.to !== null) {
      noted.stops.push({ from: Date.now(), to: null });
    }
  });
  for (const event of ['playing', 'timeupdate']) {
    video.addEventListener(event, () => video.readyState > 2 && goesOn());
  }
  video.addEventListener('emptied', () => {
    noted.begunAgain += 1;
  });
}

/** Counts the frames that a video shows, from the first on, as `window.shown`. */
export function countFrames() {
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
}

/** Makes `window.painted` of a page: the time that the publisher painted in the frame that a video
 * shows, or null. */
export function readPainted() {
  const [blocks, side] = [24, 20];
  const canvas = document.createElement('canvas');
  canvas.width = blocks;
  canvas.height = 1;
  const context = canvas.getContext('2d', { willReadFrequently: true });
  window.painted = (video) => {
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
}

/** How many frames a video has shown, how wide they are, and how many colours the last one has. */
export function shownBy() {
  const video = document.querySelector('video');
  const [width, height] = [64, 36];
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext('2d');
  context.drawImage(video, 0, 0, width, height);
  const { data } = context.getImageData(0, 0, width, height);
  const colours = new Set();
  for (let place = 0; place < data.length; place += 4) {
    colours.add(`${data[place] >> 5},${data[place + 1] >> 5},${data[place + 2] >> 5}`);
  }
  return {
    frames: video.getVideoPlaybackQuality().totalVideoFrames,
    width: video.videoWidth,
    colours: colours.size,
    error: video.error?.message ?? null,
  };
}

/** The loudest frequency of what the video plays, in hertz, once there is one: null for silence. */
export async function heard() {
  const video = document.querySelector('video');
  if (!window.listening) {
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    analyser.fftSize = 8192;
    const source = context.createMediaElementSource(video);
    source.connect(analyser);
    analyser.connect(context.destination);
    await context.resume();
    window.listening = { context, analyser };
  }
  const { context, analyser } = window.listening;
  const levels = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(levels);
  const loudest = levels.indexOf(Math.max(...levels));
  return levels[loudest] > -70 ? (loudest * context.sampleRate) / analyser.fftSize : null;
}

/** Whether the page fits its window: how wide what it holds is, what stands out of the window of what
 * can be pressed, and where the header and what stands below it begin and end. */
export function fits() {
  const shown = [...document.querySelectorAll('button, a, input')].filter((it) => it.checkVisibility());
  const boxes = shown.map((it) => [it.id || it.className || it.textContent, it.getBoundingClientRect()]);
  const edges = (selector) => {
    const is = document.querySelector(selector)?.getBoundingClientRect();
    return is ? [Math.round(is.left), Math.round(is.right)] : null;
  };
  return {
    width: window.innerWidth,
    needed: document.documentElement.scrollWidth,
    out: boxes.filter(([, it]) => it.width > 0 && (it.left < 0 || it.right > window.innerWidth)).map(([name]) => name),
    small: boxes.filter(([, it]) => it.width > 0 && it.height < 24).map(([name]) => name),
    bar: edges('.bar .brand'),
    below: edges('.cards') ?? edges('.player'),
  };
}
