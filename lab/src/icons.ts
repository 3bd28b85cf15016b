import { LabIcon } from "@jupyterlab/ui-components";

const svg = (body: string, box = 16): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" width="16" height="16" viewBox="0 0 ${box} ${box}" fill="none">${body}</svg>`;
const icon = (name: string, body: string): LabIcon => new LabIcon({ name: `firstlight-lab:${name}`, svgstr: svg(body) });

const STROKE = 'stroke-width="1.75" stroke-linecap="round" stroke-linejoin="round"';

/** A sun above the horizon. */
export const sunriseIcon = icon(
  "sunrise",
  `<g class="jp-icon3" fill="#616161"><path d="M3.5 11a4.5 4.5 0 0 1 9 0z"/><rect x="1" y="12.25" width="14" height="1.5" rx=".75"/></g>
   <g class="jp-icon3" stroke="#616161" ${STROKE}><path d="M8 4.2V2.2M3.4 6.2 2.1 4.9M12.6 6.2l1.3-1.3"/></g>`,
);
/** The same in colour, for an app's card. */
export const appIcon = icon(
  "app",
  `<g fill="#e8833a"><path d="M3.5 11a4.5 4.5 0 0 1 9 0z"/></g><g class="jp-icon3" fill="#616161"><rect x="1" y="12.25" width="14" height="1.5" rx=".75"/></g>
   <g stroke="#e8833a" ${STROKE}><path d="M8 4.2V2.2M3.4 6.2 2.1 4.9M12.6 6.2l1.3-1.3"/></g>`,
);
export const doneIcon = icon("done", `<path class="fl-stroke" d="m3.5 8.5 3 3 6-7" ${STROKE}/>`);
export const errorIcon = icon("error", `<path class="fl-stroke" d="m4.25 4.25 7.5 7.5m0-7.5-7.5 7.5" ${STROKE}/>`);
export const warningIcon = icon(
  "warning",
  `<path class="fl-stroke" d="M8 2.4 14.2 13H1.8z" ${STROKE}/><path class="fl-stroke" d="M8 6.6v2.6M8 11.2v.05" ${STROKE}/>`,
);
export const blockedIcon = icon("blocked", `<path class="fl-stroke" d="M3.7 3.7l8.6 8.6M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0z" ${STROKE}/>`);
export const skippedIcon = icon("skipped", `<path class="fl-stroke" d="M4.5 8h7" ${STROKE}/>`);
export const waitingIcon = icon("waiting", `<circle class="fl-stroke" cx="8" cy="8" r="3" ${STROKE}/>`);
export const activeIcon = icon(
  "active",
  `<circle class="fl-stroke fl-faint" cx="8" cy="8" r="5" ${STROKE}/><path class="fl-stroke fl-turning" d="M8 3a5 5 0 0 1 5 5" ${STROKE}/>`,
);
export const pauseIcon = icon("pause", `<g class="jp-icon3" fill="#616161"><rect x="4" y="3" width="3" height="10" rx=".75"/><rect x="9" y="3" width="3" height="10" rx=".75"/></g>`);
export const resumeIcon = icon("resume", `<path class="jp-icon3" fill="#616161" d="M5 3.2v9.6a.6.6 0 0 0 .9.5l7.6-4.8a.6.6 0 0 0 0-1L5.9 2.7a.6.6 0 0 0-.9.5z"/>`);
export const logIcon = icon("log", `<path class="jp-icon3" stroke="#616161" d="M3 4h10M3 8h10M3 12h6" ${STROKE}/>`);
export const timelineIcon = icon(
  "timeline",
  `<g class="jp-icon3" fill="#616161"><rect x="1.5" y="3" width="6" height="2.4" rx="1"/><rect x="5" y="6.8" width="6.5" height="2.4" rx="1"/><rect x="9.5" y="10.6" width="5" height="2.4" rx="1"/></g>`,
);
export const openIcon = icon(
  "open",
  `<path class="jp-icon3" stroke="#616161" d="M9.5 2.8h3.7v3.7M13 3 7.5 8.5M6.5 3.8h-3v8.7h8.7v-3" ${STROKE}/>`,
);
