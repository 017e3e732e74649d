import type { Command } from 'commander';
import { deriveParameters } from '../../crypto/params.ts';
import type { Task } from '../../protocols/task.ts';
import type { CompressionRequest } from '../training/compression-rules.ts';
import { usageError } from './exit.ts';
import { grouped, sizeOf } from './output.ts';
import { numberOption } from './settings.ts';

/** Flags of `task new` about how much of an update is sent. */
export interface CompressionFlags {
  readonly bits?: number;
  readonly keep?: number;
  readonly rotate?: boolean;
  readonly errorFeedback?: boolean;
  readonly sendAbove?: number;
}

export function withCompressionOptions(command: Command): Command {
  return command
    .optionsGroup('Smaller updates:')
    .addOption(
      numberOption(
        '--bits <b>',
        'bits of a value with its noise, 4 to 16; the scale follows. Default: what rounding asks for',
      ),
    )
    .addOption(
      numberOption(
        '--keep <part>',
        'part of the weights that a round carries, the same for everybody, others each round',
      ),
    )
    .option(
      '--rotate',
      'rotate updates first: with --unit node fewer bits carry them, with --keep nothing is left out whole',
    )
    .option(
      '--error-feedback',
      'with --keep and --unit node: nodes add what a round did not carry to their next update',
    )
    .addOption(
      numberOption(
        '--send-above <norm>',
        'a node with a shorter update sends none; for tasks that claim no privacy alone',
      ),
    );
}

/** @throws CliError for what no update from a file can have. */
export function compressionOf(
  flags: CompressionFlags & { readonly isOfFiles: boolean },
): CompressionRequest | undefined {
  const { keep, rotate: rotation, errorFeedback, sendAbove, isOfFiles } = flags;
  const request = { keep, rotation, errorFeedback, sendAbove };
  if (Object.values(request).every((value) => value === undefined)) return undefined;
  if (isOfFiles)
    throw usageError(
      '--keep, --rotate, --error-feedback and --send-above go with --dataset: they are about updates of training',
    );
  return request;
}

/** What compression does to a task's updates, and to their bytes. */
export function compressionLines(
  task: Task,
  quorum: { readonly members: number; readonly threshold: number },
): string[] {
  const { compression, dimension } = task;
  if (compression === undefined) return [];
  const { values, keepMicro, rotation, errorFeedback, sendAboveMicro } = compression;
  const bytesOf = (length: number): number => deriveParameters({ ...task, ...quorum, dimension: length }).payloadBytes;
  const [whole, sent] = [bytesOf(values), bytesOf(dimension)];
  const part = keepMicro === undefined ? 'all of them' : `a part of ${keepMicro / 1e6}`;
  return [
    `${task.bits} bits a value; ${grouped(dimension)} values are sent for ${grouped(values)} weights: ${part}${rotation ? ', rotated' : ''}${keepMicro === undefined ? '' : ', drawn anew for every model'}`,
    `payload ${sizeOf(sent)}, all values of as many bits ${sizeOf(whole)}${sent === whole ? ': nothing is saved, a payload has a least size' : ''}`,
    ...(errorFeedback ? ["what a round leaves out stays in the node's folder and is added to its next update"] : []),
    ...(sendAboveMicro === undefined
      ? []
      : [`WARNING: who takes part tells whose update is of norm ${sendAboveMicro / 1e6} and more`]),
  ];
}
