// Links to a stream, for people, cameras, and other pages.

import { $ } from './dom.js';
import { hasKey, streamQuery } from './server.js';

/** Makes the window that has them; what is returned opens it. */
export function setUpShare() {
  const dialog = $('share');
  const withKey = $('with-key');

  const link = () => {
    const query = withKey.checked ? streamQuery() : '';
    return location.origin + location.pathname + query;
  };
  const fill = () => {
    const url = link();
    const mark = url.includes('?') ? '&' : '?';
    $('link').value = url;
    $('frame').value = `<iframe src="${url}${mark}embed=1" width="640" height="360" allow="autoplay; fullscreen; picture-in-picture" style="border:0"></iframe>`;
    // A code is asked for at the server: of a key nothing gets there unless it is wanted.
    $('code').hidden = withKey.checked;
    $('make-code').hidden = !withKey.checked;
    $('code').removeAttribute('src');
    if (!withKey.checked) {
      makeCode();
    }
  };
  const makeCode = () => {
    $('code').hidden = false;
    $('make-code').hidden = true;
    $('code').src = `/api/qr?text=${encodeURIComponent(link())}`;
  };
  $('make-code').addEventListener('click', makeCode);
  withKey.addEventListener('change', fill);
  // What holds a key stays in the window no longer than somebody looks at it.
  dialog.addEventListener('close', () => {
    withKey.checked = false;
    fill();
  });
  for (const [button, field] of [['copy-link', 'link'], ['copy-frame', 'frame']]) {
    $(button).addEventListener('click', () => copy($(field), $(button)));
  }
  return () => {
    $('with-key-label').hidden = !hasKey();
    withKey.checked = false;
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
