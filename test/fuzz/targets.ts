import type { Target } from './target.ts';

/** Files of targets: loaded only when asked for, since what is loaded slows every coverage reading down. */
const GROUPS: Readonly<Record<string, () => Promise<readonly Target[]>>> = {
  encodings: async () => (await import('./targets/encodings.ts')).encodings,
  notes: async () => (await import('./targets/notes.ts')).notes,
  trees: async () => (await import('./targets/trees.ts')).trees,
  logsOfOthers: async () => (await import('./targets/logs-of-others.ts')).logsOfOthers,
  leaves: async () => (await import('./targets/leaves.ts')).leaves,
  tasks: async () => (await import('./targets/tasks.ts')).tasks,
  audits: async () => (await import('./targets/audits.ts')).audits,
  auditsOfBlobs: async () => (await import('./targets/audit-blobs.ts')).auditsOfBlobs,
  boxes: async () => (await import('./targets/boxes.ts')).boxes,
  payloads: async () => (await import('./targets/payloads.ts')).payloads,
  messages: async () => (await import('./targets/messages.ts')).messages,
  files: async () => (await import('./targets/files.ts')).files,
  people: async () => (await import('./targets/people.ts')).people,
  stores: async () => (await import('./targets/stores.ts')).stores,
  web: async () => (await import('./targets/web.ts')).web,
  witnessServer: async () => (await import('./targets/witness-server.ts')).witnessServer,
};

export const groupNames = Object.keys(GROUPS);

/** The decoders of one group. */
export function targetsOf(group: string): Promise<readonly Target[]> {
  return GROUPS[group]!();
}

/** Every decoder that reads what others may have written. */
export async function allTargets(): Promise<readonly Target[]> {
  return (await Promise.all(groupNames.map(targetsOf))).flat();
}
