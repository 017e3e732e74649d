import { z } from 'zod';
import { addressField } from '../config/federation.ts';
import type { CoordinatorOptions } from '../party/coordinator.ts';

const waitField = z.int().min(100).max(86_400_000).optional();

/** `coordinator.yaml`, flags and environment. Times in ms. */
export const coordinatorSettings = z.strictObject({
  http: addressField.optional(),
  export: z.string().min(1).optional(),
  roundKeyWait: waitField,
  readyWait: waitField,
  answerWait: waitField,
});

export function coordinatorOptions(settings: z.infer<typeof coordinatorSettings>): CoordinatorOptions {
  const { http, export: exportFolder, roundKeyWait, readyWait, answerWait } = settings;
  const split = http?.lastIndexOf(':') ?? 0;
  return {
    ...(http === undefined
      ? {}
      : { http: { host: http.slice(0, split).replaceAll(/[[\]]/g, ''), port: Number(http.slice(split + 1)) } }),
    ...(exportFolder === undefined ? {} : { exportFolder }),
    ...(roundKeyWait === undefined ? {} : { roundKeyMs: roundKeyWait }),
    ...(readyWait === undefined ? {} : { readyMs: readyWait }),
    ...(answerWait === undefined ? {} : { answerMs: answerWait }),
  };
}
