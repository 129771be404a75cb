// What people press: buttons, sliders, keys, and the menu of choices.

import { $, clockTime, make, setIcon } from './dom.js';

/** Milliseconds after which controls are out of the way. */
const AWAY = 2800;
/** Seconds of a step by a key. */
const STEP = 5;

/** Sets all of it up. `player` has what the controls do to the stream. */
export function setUpControls(player) {
  const { video } = player;
  const frame = $('player');
  const isTyping = (target) => target.matches?.('input:not([type=range]), textarea, select');

  const toggle = () => {
    if (video.paused) {
      player.play();
    } else {
      player.pause();
    }
  };
  const setMuted = (is) => {
    video.muted = is;
    if (!is && video.volume === 0) {
      video.volume = 0.5;
    }
  };
  const setVolume = (value) => {
    video.volume = Math.min(1, Math.max(0, value));
    video.muted = video.volume === 0;
  };
  const step = (seconds) => player.goTo(video.currentTime + seconds);
  const full = () => {
    if (document.fullscreenElement) {
      document.exitFullscreen();
    } else if (frame.requestFullscreen) {
      frame.requestFullscreen();
    } else {
      // iPhones show videos alone on the whole screen.
      video.webkitEnterFullscreen?.();
    }
  };
  const pip = () => {
    if (document.pictureInPictureElement) {
      document.exitPictureInPicture();
    } else {
      video.requestPictureInPicture?.().catch(() => {});
    }
  };

  $('play').addEventListener('click', toggle);
  $('big').addEventListener('click', () => player.play());
  $('mute').addEventListener('click', () => setMuted(!video.muted));
  $('unmute').addEventListener('click', () => setMuted(false));
  $('volume').addEventListener('input', (event) => setVolume(event.target.value / 100));
  $('live').addEventListener('click', () => player.toLive());
  $('full').addEventListener('click', full);
  $('pip').addEventListener('click', pip);
  $('share-button').addEventListener('click', player.share);
  $('stats-button').addEventListener('click', player.toggleStatistics);
  $('help-button').addEventListener('click', () => $('help').showModal());
  $('full').hidden = !(document.fullscreenEnabled || video.webkitEnterFullscreen);
  $('pip').hidden = !document.pictureInPictureEnabled;

  // A finger brings controls, a mouse plays and pauses.
  video.addEventListener('click', () => (isTouch() ? appear() : toggle()));
  frame.addEventListener('dblclick', (event) => event.target === video && full());
  for (const dialog of document.querySelectorAll('dialog')) {
    // Beside it is outside.
    dialog.addEventListener('click', (event) => event.target === dialog && dialog.close());
  }

  const keys = {
    ' ': toggle,
    k: toggle,
    m: () => setMuted(!video.muted),
    arrowup: () => setVolume((video.muted ? 0 : video.volume) + 0.1),
    arrowdown: () => setVolume(video.volume - 0.1),
    arrowleft: () => step(-STEP),
    arrowright: () => step(STEP),
    l: () => player.toLive(),
    end: () => player.toLive(),
    f: full,
    p: pip,
    i: player.toggleStatistics,
    '?': () => $('help').showModal(),
  };
  document.addEventListener('keydown', (event) => {
    const act = keys[event.key.toLowerCase()];
    const isOurs = !event.ctrlKey && !event.metaKey && !event.altKey;
    const { target } = event;
    // Buttons take the space bar, sliders arrows.
    const isItsOwn = (event.key === ' ' && target.matches?.('button, a, summary'))
      || (event.key.startsWith('Arrow') && target.matches?.('input[type=range]'));
    if (!act || !isOurs || isTyping(target) || isItsOwn || document.querySelector('dialog[open]')) {
      if (event.key === 'Escape' && !menu.hidden) {
        closeMenu();
        $('menu-button').focus();
      }
      return;
    }
    event.preventDefault();
    act();
    appear();
  });

  // The line of what can be gone back to.
  const seek = $('seek');
  let isHeld = false;
  const place = () => {
    const range = player.range();
    if (range) {
      player.goTo(range.start + ((range.end - range.start) * seek.value) / 1000);
    }
  };
  seek.addEventListener('input', () => {
    isHeld = true;
    place();
  });
  seek.addEventListener('change', () => {
    isHeld = false;
  });

  let timer = null;
  function appear() {
    frame.classList.remove('is-alone');
    clearTimeout(timer);
    timer = setTimeout(() => {
      const isUsed = !$('menu').hidden || frame.querySelector('.controls :focus-visible');
      if (!video.paused && !isUsed && $('cover').hidden) {
        frame.classList.add('is-alone');
      }
    }, AWAY);
  }
  for (const event of ['pointermove', 'pointerdown', 'focusin']) {
    frame.addEventListener(event, appear);
  }
  frame.addEventListener('pointerleave', () => !video.paused && $('menu').hidden && $('cover').hidden && frame.classList.add('is-alone'));
  let wasTouch = false;
  document.addEventListener('pointerdown', (event) => {
    wasTouch = event.pointerType === 'touch';
    const isMenu = event.target.closest?.('#menu, #menu-button');
    if (!isMenu) {
      closeMenu();
    }
  });
  const isTouch = () => wasTouch;

  const menu = $('menu');
  const closeMenu = () => {
    menu.hidden = true;
    $('menu-button').setAttribute('aria-expanded', 'false');
  };
  $('menu-button').addEventListener('click', () => {
    menu.hidden ? openMenu() : closeMenu();
  });
  function openMenu() {
    fillMenu();
    menu.hidden = false;
    $('menu-button').setAttribute('aria-expanded', 'true');
    (menu.querySelector('[aria-checked=true]') ?? menu.querySelector('button'))?.focus();
  }
  // Arrows go over what can be chosen, and choose nothing: that may be another stream.
  menu.addEventListener('keydown', (event) => {
    const items = [...menu.querySelectorAll('button')];
    const at = items.indexOf(document.activeElement);
    const to = {
      ArrowDown: (at + 1) % items.length,
      ArrowUp: (at + items.length - 1) % items.length,
      Home: 0,
      End: items.length - 1,
    }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      event.stopPropagation();
      items[to]?.focus();
    }
  });
  function fillMenu() {
    const groups = player.choices().filter((group) => group.items.length > 1);
    const focused = menu.contains(document.activeElement) ? document.activeElement.dataset.is : null;
    const made = groups.map((group) => {
      const items = group.items.map((item) => {
        const button = make('button', { type: 'button', textContent: item.label });
        button.setAttribute('role', 'menuitemradio');
        button.setAttribute('aria-checked', String(item.id === group.chosen));
        button.dataset.is = `${group.name} ${item.id}`;
        button.addEventListener('click', () => {
          closeMenu();
          $('menu-button').focus();
          group.choose(item.id);
        });
        return button;
      });
      return make('fieldset', {}, make('legend', { textContent: group.title }), ...items);
    });
    menu.replaceChildren(...made);
    if (focused !== null) {
      const again = [...menu.querySelectorAll('button')].find((it) => it.dataset.is === focused);
      (again ?? menu.querySelector('button'))?.focus();
    }
  }

  /** Shows how it is. */
  function update() {
    setIcon($('play'), video.paused ? 'play' : 'pause');
    $('play').setAttribute('aria-label', video.paused ? 'Play' : 'Pause');
    const isSilent = video.muted || video.volume === 0;
    setIcon($('mute'), isSilent ? 'silent' : 'sound');
    $('mute').setAttribute('aria-label', isSilent ? 'Sound on' : 'Sound off');
    $('volume').value = isSilent ? 0 : Math.round(video.volume * 100);
    $('volume').style.setProperty('--at', `${$('volume').value}%`);
    $('unmute').hidden = !(player.wasSilenced() && video.muted && !video.paused);
    const isFull = Boolean(document.fullscreenElement);
    setIcon($('full'), isFull ? 'small' : 'full');
    const range = player.range();
    const latency = player.latency();
    $('latency').textContent = latency === null ? '' : `${latency.toFixed(latency < 10 ? 1 : 0)} s`;
    $('live').classList.toggle('is-live', player.isAtLive());
    seek.hidden = !range || range.end - range.start < 8;
    if (range && !isHeld) {
      const length = range.end - range.start;
      const at = (video.currentTime - range.start) / length;
      seek.value = player.isAtLive() ? 1000 : Math.round(1000 * Math.min(1, at));
      seek.style.setProperty('--at', `${seek.value / 10}%`);
      seek.setAttribute('aria-valuetext', `${clockTime(range.end - video.currentTime)} behind live`);
    }
    if (video.paused) {
      frame.classList.remove('is-alone');
    }
  }
  for (const event of ['play', 'pause', 'volumechange', 'seeked', 'playing']) {
    video.addEventListener(event, update);
  }
  document.addEventListener('fullscreenchange', update);
  appear();
  return { update, refreshMenu: () => menu.hidden || fillMenu() };
}
