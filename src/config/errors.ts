export type ConfigCode =
  | 'FILE_MISSING'
  | 'FILE_UNREADABLE'
  | 'FILE_EXISTS'
  | 'FOLDER_UNUSABLE'
  | 'INVALID'
  | 'KEY_EXPOSED';

/** A configuration, key or card file that cannot be used. The message names the file and says what to do. */
export class ConfigError extends Error {
  readonly code: ConfigCode;

  constructor(code: ConfigCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'ConfigError';
    this.code = code;
  }
}
