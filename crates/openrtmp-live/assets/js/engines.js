// Ways to play a stream. Each engine has the same face:
//
//   form            what the server calls the URL that it plays
//   prepare()       loads what it takes, while something else goes on
//   start(video, stream, on) -> playing, once that is there: at once, so that no engine comes
//                   to a video that is another's by then
//
// `stream` is what the server told of it. `on.ended()`: nothing more comes;
// `on.failed(reason, isFinal)`: it goes on no longer, nor would it another time;
// `on.changed()`: there are other choices;
// `on.keepsUp()`: whether what is newest is wanted, and nobody has gone back.
// A playing engine has
//   stop()
//   goal()          seconds behind the end of what can be gone to that it wants to be
//   latency()       seconds behind the server, or null
//   toLive()        plays the newest that can be played
//   qualities(), quality(), setQuality(id)    ids and labels; id -1 is by itself
//   audios(), audio(), setAudio(id)
//   details()       lines for the statistics

import { takesAhead } from './ahead.js';
import { whenCalm } from './calm.js';
import { serverNow } from './clock.js';
import { begun, isSafari, load } from './early.js';
import { takeOpened } from './opening.js';

const hasSources = () => 'MediaSource' in window || 'ManagedMediaSource' in window;
const bufferEnd = (video) => {
  const { buffered } = video;
  return buffered.length ? buffered.end(buffered.length - 1) : null;
};
/** Seconds that are there and not played yet: so late it is at least. */
const behindBuffer = (video) => {
  const end = bufferEnd(video);
  return end === null ? null : end - video.currentTime;
};
/** A language, unless it says that nobody knows it. */
const named = (language) => (language === 'und' ? '' : language);
const megabits = (bits) => `${(bits / 1e6).toFixed(bits < 1e7 ? 1 : 0)} Mbit/s`;

/** Seconds from which on a jump is better than to hurry for longer than ten times as much. */
const FAR = 2;

/** So much further behind than it might be it stays, for what comes late. */
const EASE = 0.12;

/** Keeps a player at its distance: `excess` tells by how many seconds it is further behind;
 * from `far` on it jumps. */
function keepUp(video, on, excess, far = FAR) {
  let isNew = true;
  const look = () => {
    const [beyond, ahead] = [excess(), behindBuffer(video)];
    const late = beyond - EASE;
    if (beyond === null || ahead === null || video.paused || video.seeking || video.readyState < 3) {
      return;
    }
    if (!on.keepsUp()) {
      video.playbackRate = 1;
    } else if (isNew && late > 0.3 && ahead - late > 0.15) {
      // What was loaded meanwhile is there: nothing has to be waited for.
      video.currentTime += late;
    } else if (late > far) {
      video.currentTime += late;
    } else if (late > 0.1 && ahead > 0.3) {
      // Slowly enough not to be heard.
      video.playbackRate = 1 + Math.min(0.1, Math.max(0.02, late / 5));
    } else if (video.playbackRate > 1 && (late < 0.03 || ahead < 0.2)) {
      video.playbackRate = 1;
    }
    isNew = false;
  };
  const timer = setInterval(look, 100);
  return () => {
    clearInterval(timer);
    video.playbackRate = 1;
  };
}

const none = {
  qualities: () => [],
  quality: () => -1,
  setQuality: () => {},
  audios: () => [],
  audio: () => -1,
  setAudio: () => {},
  details: () => [],
};

/** Errors of hls.js after which no other attempt ends otherwise. */
const NO_DECODER = ['manifestIncompatibleCodecsError', 'bufferIncompatibleCodecsError', 'bufferAddCodecError'];
/** Recoveries of hls.js before it begins anew. */
const RECOVERIES = 3;

/** The part of hls.js that loads sound. It waits until it is known which time pictures begin
 * with, and looks whether it is each 100 ms, twice: here it goes on when it is told. */
const promptSound = (Hls) => class extends Hls.DefaultConfig.audioStreamController {
  onInitPtsFound(event, data) {
    super.onInitPtsFound(event, data);
    if (this.state === 'WAITING_INIT_PTS' && !this.waitingData) {
      this.state = 'IDLE';
      this.tick();
    }
  }
};

const hls = {
  id: 'hls',
  form: 'hls',
  label: 'HLS, low latency',
  works: hasSources,
  async prepare() {
    await begun;
    await load('hls');
  },
  start(video, stream, on) {
    const { Hls } = window;
    if (!Hls.isSupported()) {
      throw new Error('this browser cannot play HLS by a script');
    }
    const player = new Hls({
      lowLatencyMode: true,
      audioStreamController: promptSound(Hls),
      loader: takesAhead(Hls.DefaultConfig.loader),
      // What is MP4 already is no work worth a thread.
      enableWorker: false,
      liveDurationInfinity: true,
      // What is played first is fetched while that room is made.
      startFragPrefetch: true,
      backBufferLength: 90,
      // That waits for more than a second in the buffer: with short parts there never is.
      maxLiveSyncPlaybackRate: 1,
      // After a stall it keeps so many seconds more behind.
      liveSyncOnStallIncrease: 0.3,
      // The server holds requests back until there is something, or 9 s.
      playlistLoadPolicy: policy(12000),
      fragLoadPolicy: policy(20000),
    });
    let recovered = 0;
    const calm = whenCalm(video, () => {
      recovered = 0;
    });
    let isStopped = false;
    const retry = (act, after) => setTimeout(() => isStopped || act(), after);
    /** Goes on in buffers that are new. */
    const renew = () => {
      const went = !video.paused;
      player.recoverMediaError();
      if (went) {
        video.play().catch(() => {});
      }
    };
    player.on(Hls.Events.ERROR, (_, error) => {
      if (!error.fatal) {
        return;
      }
      const code = error.response?.code ?? 0;
      const isMedia = error.type === Hls.ErrorTypes.MEDIA_ERROR;
      if (NO_DECODER.includes(error.details)) {
        on.failed(`this browser has no decoder for it (${error.reason || error.details})`, true);
      } else if (isMedia && player.levels.length && recovered < RECOVERIES) {
        recovered += 1;
        calm.disturb();
        retry(renew, 100);
      } else {
        on.failed(code ? `${error.details} (${code})` : error.details);
      }
    });
    // By itself it asks for less only once what it knows of the network has faded, and takes the
    // parts of a segment to its end: what takes longer to come than to be played says so at once.
    // The wait for the first byte is no lack of room: on a long way each part may take as long.
    player.on(Hls.Events.FRAG_LOADED, (_, { frag, part }) => {
      const { duration, stats } = part ?? frag;
      const seconds = (stats.loading.end - stats.loading.first) / 1000;
      const rate = (stats.loaded * 8) / seconds;
      if (frag.type !== 'main' || seconds < duration || rate > player.bandwidthEstimate) {
        return;
      }
      player.bandwidthEstimate = rate;
      if (part && player.autoLevelEnabled && player.nextAutoLevel < frag.level) {
        retry(() => {
          frag.abortRequests();
          player.trigger(Hls.Events.FRAG_LOAD_EMERGENCY_ABORTED, { frag, part, stats });
        }, 0);
      }
    });
    // Pictures are there once for each codec of sound. It would begin with the codec that it likes
    // best, and not with the first sound.
    player.on(Hls.Events.MANIFEST_PARSED, () => {
      [player.config.audioPreference] = player.allAudioTracks;
    });
    let isByItself = true;
    // It is bound to a size only until it has gone to another codec: by itself it stays with the
    // codec of what it loaded last.
    player.on(Hls.Events.LEVEL_SWITCHED, (_, { level }) => {
      if (isByItself && level === player.manualLevel) {
        player.loadLevel = -1;
      }
    });
    for (const event of ['MANIFEST_PARSED', 'LEVEL_SWITCHED', 'AUDIO_TRACKS_UPDATED',
      'AUDIO_TRACK_SWITCHED']) {
      player.on(Hls.Events[event], () => on.changed());
    }
    const onEnded = () => on.ended();
    video.addEventListener('ended', onEnded);
    // The browser takes its time to make room for media.
    player.attachMedia(takeOpened(video));
    player.loadSource(stream.hls);
    const stopKeeping = keepUp(video, on, () => {
      const [latency, target] = [player.latency, player.targetLatency];
      return latency && target ? latency - target : null;
    });
    const level = () => player.levels[player.currentLevel] ?? player.levels[player.loadLevel];
    const sound = () => player.audioTracks[player.audioTrack];
    /** Whether the pictures of a level are those that are played with this sound. */
    const plays = (id, track) => !track || player.levels[id].hasAudioGroup(track.groupId);
    return {
      ...none,
      stop() {
        isStopped = true;
        calm.stop();
        stopKeeping();
        video.removeEventListener('ended', onEnded);
        player.destroy();
      },
      goal: () => (player.targetLatency || 0) + (level()?.details?.partTarget || level()?.details?.targetduration || 0),
      latency() {
        const now = serverNow();
        const shown = player.playingDate;
        // By the clock that stands in the playlist, where that can be.
        return now !== null && shown ? (now - shown.getTime()) / 1000 : player.latency || null;
      },
      toLive() {
        if (player.liveSyncPosition) {
          video.currentTime = player.liveSyncPosition;
        }
      },
      qualities: () => player.levels.map((it, id) => ({
        id,
        name: it.height ? `${it.height}p` : megabits(it.bitrate),
        label: it.height ? `${it.height}p, ${megabits(it.bitrate)}` : megabits(it.bitrate),
      })).filter(({ id }) => plays(id, sound())),
      quality: () => (isByItself ? -1 : player.currentLevel),
      setQuality(id) {
        isByItself = id === -1;
        player.nextLevel = id;
      },
      audios: () => player.allAudioTracks.map((it, id) => ({ id, label: it.name || it.lang })),
      audio: () => player.allAudioTracks.indexOf(sound()),
      setAudio(id) {
        const track = player.allAudioTracks[id];
        const { uri } = level() ?? {};
        const isOther = !player.audioTracks.includes(track);
        if (isOther) {
          player.stopLoad();
          player.loadLevel = player.levels.findIndex((it, place) => it.uri === uri && plays(place, track));
        }
        player.setAudioOption(track);
        // What is on its way to a buffer of one codec is an error in that of another.
        if (isOther) {
          renew();
        }
      },
      details() {
        const is = level();
        const codecs = [is?.videoCodec, is?.audioCodec].filter(Boolean).join(', ');
        const details = is?.details;
        const target = player.targetLatency;
        return [
          ['Codecs', codecs],
          ['Declared', is ? megabits(is.bitrate) : ''],
          ['Measured', megabits(player.bandwidthEstimate || 0)],
          ['Parts', details?.partTarget ? `${details.partTarget.toFixed(3)} s` : 'none'],
          ['Goal', target ? `${target.toFixed(2)} s behind the playlist` : ''],
        ];
      },
    };
  },
};

/** Retries of hls.js, with this time until the first byte. */
function policy(first) {
  const retry = { maxNumRetry: 4, retryDelayMs: 500, maxRetryDelayMs: 3000 };
  return {
    default: {
      maxTimeToFirstByteMs: first,
      maxLoadTimeMs: 30000,
      timeoutRetry: { maxNumRetry: 2, retryDelayMs: 0, maxRetryDelayMs: 0 },
      errorRetry: retry,
    },
  };
}

/** Seconds that are not played yet, which FLV is kept at, and from which on it jumps. */
const FLV_GOAL = 0.25;
const FLV_FAR = 0.7;

const flv = {
  id: 'flv',
  form: 'flv',
  label: 'FLV',
  works: () => hasSources() && 'ReadableStream' in window,
  prepare: () => load('flv'),
  start(video, stream, on) {
    const { mpegts } = window;
    if (!mpegts.getFeatureList().mseLivePlayback) {
      throw new Error('this browser cannot play FLV by a script');
    }
    mpegts.LoggingControl.enableAll = false;
    const url = new URL(stream.flv, location.href);
    // Colors and channels of Enhanced RTMP are errors to it.
    url.searchParams.set('plain', '1');
    const source = { type: 'flv', isLive: true, url: url.href };
    // A track that is announced and never comes is waited for without end.
    if (stream.playable) {
      source.hasVideo = stream.video;
      source.hasAudio = stream.audio;
    }
    const player = mpegts.createPlayer(source, {
      enableWorker: false,
      enableStashBuffer: false,
      lazyLoad: false,
      autoCleanupSourceBuffer: true,
      autoCleanupMaxBackwardDuration: 60,
      autoCleanupMinBackwardDuration: 30,
      // It knows of nobody who has gone back.
      liveBufferLatencyChasing: false,
      liveSync: false,
    });
    let info = {};
    player.on(mpegts.Events.MEDIA_INFO, (it) => {
      info = it;
      on.changed();
    });
    let speed = 0;
    player.on(mpegts.Events.STATISTICS_INFO, (it) => {
      speed = it.speed || speed;
    });
    player.on(mpegts.Events.LOADING_COMPLETE, () => on.ended());
    player.on(mpegts.Events.ERROR, (type, detail, more) => {
      const code = more?.code > 0 ? ` (${more.code})` : '';
      on.failed(`${type}: ${detail}${code}`);
    });
    player.attachMediaElement(video);
    player.load();
    // It begins at a key frame of a while ago: then by a jump to what is new, later by speed.
    const stopKeeping = keepUp(video, on, () => {
      const behind = behindBuffer(video);
      return behind === null ? null : behind - FLV_GOAL;
    }, FLV_FAR);
    return {
      ...none,
      stop() {
        stopKeeping();
        player.destroy();
      },
      goal: () => FLV_GOAL,
      latency: () => behindBuffer(video),
      toLive() {
        const end = bufferEnd(video);
        if (end !== null) {
          video.currentTime = Math.max(0, end - FLV_GOAL);
        }
      },
      details: () => [
        ['Codecs', [info.videoCodec, info.audioCodec].filter(Boolean).join(', ')],
        ['Coming in', speed ? megabits(speed * 8192) : ''],
      ],
    };
  },
};

const dash = {
  id: 'dash',
  form: 'dash',
  label: 'DASH',
  works: hasSources,
  prepare: () => load('dash'),
  start(video, stream, on) {
    const { dashjs } = window;
    const player = dashjs.MediaPlayer().create();
    player.updateSettings({
      debug: { logLevel: dashjs.Debug.LOG_LEVEL_NONE },
      streaming: {
        buffer: { bufferTimeAtTopQuality: 12, bufferTimeDefault: 12 },
        liveCatchup: { enabled: true },
        // Otherwise a server of somebody else would be asked.
        utcSynchronization: {
          defaultTimingSource: {
            scheme: 'urn:mpeg:dash:utc:http-iso:2014',
            value: new URL('/time', location.href).href,
          },
        },
      },
    });
    player.on(dashjs.MediaPlayer.events.ERROR, ({ error }) => {
      on.failed(`${error?.message ?? error}`.slice(0, 120));
    });
    // A period that has ended is not the end.
    player.on(dashjs.MediaPlayer.events.PLAYBACK_ENDED, ({ isLast }) => isLast && on.ended());
    for (const event of ['STREAM_INITIALIZED', 'QUALITY_CHANGE_RENDERED', 'TRACK_CHANGE_RENDERED']) {
      player.on(dashjs.MediaPlayer.events[event], () => on.changed());
    }
    // It reads the manifest again from when playing begins, of which it hears nothing that was
    // before it had read it once.
    const { STREAM_INITIALIZED, PLAYBACK_STARTED } = dashjs.MediaPlayer.events;
    // It keeps its buffers over all periods, and none can be added to them: sound of a later one
    // is not heard where the first had none.
    let hasSound = false;
    const begin = () => {
      player.off(STREAM_INITIALIZED, begin);
      hasSound = tracks().length > 0;
      if (!video.paused) {
        player.trigger(PLAYBACK_STARTED, { startTime: video.currentTime });
      }
    };
    const safely = (look, otherwise) => {
      // It throws as long as no manifest is there.
      try {
        return look() ?? otherwise;
      } catch {
        return otherwise;
      }
    };
    const videos = () => safely(() => player.getRepresentationsByType('video'), []);
    const tracks = () => safely(() => player.getTracksFor('audio'), []);
    const now = (type) => safely(() => player.getCurrentRepresentationForType(type), null);
    player.on(STREAM_INITIALIZED, begin);
    player.initialize(video, stream.dash, false);
    let isByItself = true;
    return {
      ...none,
      stop() {
        player.destroy();
      },
      goal: () => safely(() => player.getTargetLiveDelay(), 0) || 10,
      latency: () => {
        const behind = safely(() => player.getCurrentLiveLatency(), NaN);
        return Number.isFinite(behind) && behind > 0 ? behind : null;
      },
      toLive() {
        safely(() => player.seekToOriginalLive());
      },
      qualities: () => videos().map((it) => ({
        id: it.id,
        name: `${it.height}p`,
        label: `${it.height}p, ${megabits(it.bandwidth)}`,
      })),
      quality: () => (isByItself ? -1 : now('video')?.id),
      setQuality(id) {
        isByItself = id === -1;
        player.updateSettings({ streaming: { abr: { autoSwitchBitrate: { video: isByItself } } } });
        if (!isByItself) {
          player.setRepresentationForTypeById('video', id, true);
        }
      },
      audios: () => (hasSound ? tracks() : []).map((it, id) => ({ id, label: it.labels?.[0]?.text || named(it.lang) || `Track ${id + 1}` })),
      audio: () => tracks().findIndex((it) => it.id === player.getCurrentTrackFor('audio')?.id),
      setAudio(id) {
        player.setCurrentTrack(tracks()[id]);
      },
      details: () => [
        ['Codecs', [now('video')?.codecs, now('audio')?.codecs].filter(Boolean).join(', ')],
        ['Declared', now('video') ? megabits(now('video').bandwidth) : ''],
        ['Goal', `${safely(() => player.getTargetLiveDelay(), 0).toFixed(2)} s behind`],
      ],
    };
  },
};

const native = {
  id: 'native',
  form: 'hls',
  label: "HLS, the browser's own",
  works: () => Boolean(document.createElement('video').canPlayType('application/vnd.apple.mpegurl')),
  prepare: async () => {},
  start(video, stream, on) {
    const onEnded = () => on.ended();
    const onError = () => on.failed(video.error?.message || 'the browser cannot play it');
    video.addEventListener('ended', onEnded);
    video.addEventListener('error', onError);
    video.addEventListener('loadedmetadata', on.changed);
    video.src = stream.hls;
    const began = () => video.getStartDate?.()?.getTime() ?? NaN;
    return {
      ...none,
      stop() {
        video.removeEventListener('ended', onEnded);
        video.removeEventListener('error', onError);
        video.removeEventListener('loadedmetadata', on.changed);
        video.removeAttribute('src');
        video.load();
      },
      // What it wants it tells nobody: three segments of two seconds (RFC 8216, 6.3.3).
      goal: () => 6,
      latency() {
        const behind = (serverNow() ?? NaN) - began() - video.currentTime * 1000;
        return Number.isNaN(behind) ? null : behind / 1000;
      },
      toLive() {
        const { seekable } = video;
        if (seekable.length) {
          video.currentTime = seekable.end(seekable.length - 1);
        }
      },
      audios: () => [...(video.audioTracks ?? [])].map((it, id) => ({ id, label: it.label || it.language || `Track ${id + 1}` })),
      audio: () => [...(video.audioTracks ?? [])].findIndex((it) => it.enabled),
      setAudio(id) {
        [...(video.audioTracks ?? [])].forEach((it, place) => {
          it.enabled = place === id;
        });
      },
    };
  },
};

/** All engines that may work here, the best first. */
export const engines = (isSafari ? [native, hls, flv, dash] : [hls, flv, dash, native])
  .filter((engine) => engine.works());

export { behindBuffer, bufferEnd };
