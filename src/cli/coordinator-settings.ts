import { z } from 'zod';
import { addressField, splitAddress } from '../config/federation.ts';
import type { CoordinatorOptions } from '../party/coordinator.ts';

const waitField = z.int().min(100).max(86_400_000).optional();

/** `coordinator.yaml`, flags and environment. Times in ms. */
export const coordinatorSettings = z.strictObject({
  /** Where the gRPC server binds; left out, at the card's address. */
  listen: addressField.optional(),
  http: addressField.optional(),
  export: z.string().min(1).optional(),
  roundKeyWait: waitField,
  readyWait: waitField,
  holderWait: waitField,
  answerWait: waitField,
});

export function coordinatorOptions(settings: z.infer<typeof coordinatorSettings>): CoordinatorOptions {
  const { listen, http, export: exportFolder, roundKeyWait, readyWait, holderWait, answerWait } = settings;
  return {
    ...(listen === undefined ? {} : { listen }),
    ...(http === undefined ? {} : { http: splitAddress(http) }),
    ...(exportFolder === undefined ? {} : { exportFolder }),
    ...(roundKeyWait === undefined ? {} : { roundKeyMs: roundKeyWait }),
    ...(readyWait === undefined ? {} : { readyMs: readyWait }),
    ...(holderWait === undefined ? {} : { holderMs: holderWait }),
    ...(answerWait === undefined ? {} : { answerMs: answerWait }),
  };
}
