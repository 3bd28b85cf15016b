/** Where the user's browser reaches a service of this machine. */

export interface Page {
  protocol: string;
  hostname: string;
  /** Of JupyterLab, absolute, with a slash at the end. */
  baseUrl: string;
}

/**
 * The address of a service, or null when it has none.
 *
 * `place` is `:PORT/path` (another port of the host that serves this page), a path below JupyterLab's base URL such as
 * `proxy/8188/`, or a full http(s) address. Behind RunPod's proxy the port is part of the host's name.
 */
export function address(place: string | null | undefined, page: Page): string | null {
  if (!place) return null;
  if (/^https?:\/\//i.test(place)) return parsed(place);
  const port = /^:(\d{1,5})(\/.*)?$/s.exec(place);
  if (port?.[1]) {
    const tail = `/${(port[2] ?? "").replace(/^\/+/, "")}`;
    const proxied = /^(.+)-\d+(\.proxy\.runpod\.net)$/.exec(page.hostname);
    if (proxied?.[1] && proxied[2]) return parsed(`https://${proxied[1]}-${port[1]}${proxied[2]}${tail}`);
    const host = page.hostname.includes(":") ? `[${page.hostname.replace(/[[\]]/g, "")}]` : page.hostname;
    return parsed(`${page.protocol}//${host}:${port[1]}${tail}`);
  }
  // A path, and nothing that a browser could take for another host or scheme.
  return /^[\w.~%-]+(?:\/[^\\]*)?$/.test(place) ? parsed(page.baseUrl + place) : null;
}

function parsed(href: string): string | null {
  try {
    const url = new URL(href);
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}
