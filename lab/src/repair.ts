/** The verbs that the state names: which of them the panel can carry out. */

export type Repair =
  | { kind: "retry"; stage: string }
  | { kind: "start"; stage: string }
  | { kind: "models"; verb: "add" | "drop" | "pause" | "resume"; set: string }
  | { kind: "command"; text: string };

const MODELS = /^firstlight models (add|drop|pause|resume) (\S+)$/;

/** What `repair` of a stage, service or headline asks for. */
export function repair(text: string | null): Repair | null {
  const verb = (text ?? "").trim();
  if (!verb) return null;
  const retry = /^firstlight retry (\S+)$/.exec(verb)?.[1];
  if (retry) return { kind: "retry", stage: retry };
  const start = /^firstlight start (\S+)$/.exec(verb)?.[1];
  if (start) return { kind: "start", stage: start };
  const models = MODELS.exec(verb);
  if (models?.[1] && models[2]) {
    return { kind: "models", verb: models[1] as "add" | "drop" | "pause" | "resume", set: models[2] };
  }
  return { kind: "command", text: verb };
}

/** The ids that `retry` would begin again, each once, in the order of the state. */
export function failed(repairs: readonly (string | null)[]): string[] {
  const found = repairs.map(repair).flatMap((each) => (each?.kind === "retry" ? [each.stage] : []));
  return [...new Set(found)];
}
