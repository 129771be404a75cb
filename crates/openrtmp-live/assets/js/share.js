// Links to a stream, for people, cameras, and other pages.

import { $ } from './dom.js';
import { streamQuery } from './server.js';

/** Makes the window that has them; what is returned opens it. */
export function setUpShare() {
  const dialog = $('share');
  const withKey = $('with-key');
  $('with-key-label').hidden = !location.search.includes('key=');

  const link = () => {
    const query = withKey.checked ? streamQuery() : '';
    return location.origin + location.pathname + query;
  };
  const fill = () => {
    const url = link();
    const mark = url.includes('?') ? '&' : '?';
    $('link').value = url;
    $('frame').value = `<iframe src="${url}${mark}embed=1" width="640" height="360" allow="autoplay; fullscreen; picture-in-picture" style="border:0"></iframe>`;
    $('code').src = `/api/qr?text=${encodeURIComponent(url)}`;
  };
  withKey.addEventListener('change', fill);
  for (const [button, field] of [['copy-link', 'link'], ['copy-frame', 'frame']]) {
    $(button).addEventListener('click', () => copy($(field), $(button)));
  }
  return () => {
    fill();
    dialog.showModal();
  };
}

async function copy(field, button) {
  field.select();
  let isDone = false;
  try {
    await navigator.clipboard.writeText(field.value);
    isDone = true;
  } catch {
    // There is a clipboard for scripts over HTTPS only.
    isDone = document.execCommand('copy');
  }
  button.textContent = isDone ? 'Copied' : 'Ctrl+C';
  setTimeout(() => {
    button.textContent = 'Copy';
  }, 1500);
}
