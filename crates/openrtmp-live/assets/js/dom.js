// Pieces of the page. Text gets in as text alone: names of streams are anybody's words.

const SVG = 'http://www.w3.org/2000/svg';

// Drawn on a field of 24 by 24.
const ICONS = {
  play: 'M8 5.2v13.6a1 1 0 0 0 1.5.9l11-6.8a1 1 0 0 0 0-1.8l-11-6.8A1 1 0 0 0 8 5.2z',
  pause: 'M7 5h3.5v14H7zM13.5 5H17v14h-3.5z',
  sound: 'M4 9.5v5h3.5L12 19V5L7.5 9.5zM14.5 8.2v7.6a4.3 4.3 0 0 0 0-7.6zM14.5 4.3v2a6 6 0 0 1 0 11.4v2a8 8 0 0 0 0-15.4z',
  silent: 'M4 9.5v5h3.5L12 19V5L7.5 9.5zM20.5 9.9 19.1 8.5 17 10.6l-2.1-2.1-1.4 1.4 2.1 2.1-2.1 2.1 1.4 1.4 2.1-2.1 2.1 2.1 1.4-1.4-2.1-2.1z',
  stats: 'M4 20V10h3.5v10zM10.2 20V4h3.6v16zM16.5 20v-7H20v7z',
  settings: 'M4 6.2h9.2a3 3 0 0 1 5.6 0H20v1.9h-1.2a3 3 0 0 1-5.6 0H4zM4 11h1.2a3 3 0 0 1 5.6 0H20v1.9h-9.2a3 3 0 0 1-5.6 0H4zM4 15.9h9.2a3 3 0 0 1 5.6 0H20v1.9h-1.2a3 3 0 0 1-5.6 0H4z',
  share: 'M17.5 15.2a3 3 0 0 0-2.1.9L9.4 12.7a3 3 0 0 0 0-1.4l6-3.4A3 3 0 1 0 14.6 6l-6 3.4a3 3 0 1 0 0 5.2l6 3.4a2.9 2.9 0 1 0 2.9-2.8z',
  pip: 'M3.5 5h17v14h-17zM5.5 7v10h13V7zM11.5 11.5h6v4.5h-6z',
  full: 'M4 4h6v2H6v4H4zM14 4h6v6h-2V6h-4zM4 14h2v4h4v2H4zM18 14h2v6h-6v-2h4z',
  small: 'M8 4h2v6H4V8h4zM14 4h2v4h4v2h-6zM4 14h6v6H8v-4H4zM14 14h6v2h-4v4h-2z',
  out: 'M13.5 4H20v6.5h-2V7.4l-7.3 7.3-1.4-1.4L16.6 6h-3.1zM5 6h5.5v2H7v9h9v-3.5h2V19H5z',
  close: 'M6.4 5 12 10.6 17.6 5 19 6.4 13.4 12l5.6 5.6-1.4 1.4L12 13.4 6.4 19 5 17.6l5.6-5.6L5 6.4z',
};

/** The element of this id. */
export const $ = (id) => document.getElementById(id);

/** A new element, with properties, and what is in it. */
export function make(name, properties = {}, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

/** A picture of one of the icons. */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('viewBox', '0 0 24 24');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(SVG, 'path');
  path.setAttribute('d', ICONS[name]);
  svg.append(path);
  return svg;
}

/** Puts an icon where another was. */
export function setIcon(element, name) {
  if (element.dataset.shown !== name) {
    element.dataset.shown = name;
    element.querySelector('svg')?.remove();
    element.prepend(icon(name));
  }
}

/** Puts icons where the page asks for them. */
export function drawIcons() {
  for (const element of document.querySelectorAll('[data-icon]')) {
    setIcon(element, element.dataset.icon);
  }
}

/** 75 seconds as 1:15. */
export function clockTime(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (number) => String(number).padStart(2, '0');
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}
