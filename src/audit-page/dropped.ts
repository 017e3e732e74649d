/** A file and the folders it was found in, as `a/b/name`. */
export interface Found {
  readonly path: string;
  readonly file: File;
}

/** More is no log of ours: a log of a million leaves has about 8,000 files. */
const MAX_FILES = 200_000;

/** File system handles, which the compiler's DOM library has, and the way to them from a drop, which it lacks. */
interface DroppedItem {
  getAsFileSystemHandle?(): Promise<FileSystemHandle | null>;
}

async function* filesBelow(handle: FileSystemHandle, path: string): AsyncGenerator<Found> {
  if (handle.kind === 'file') {
    yield { path, file: await (handle as FileSystemFileHandle).getFile() };
    return;
  }
  for await (const child of (handle as FileSystemDirectoryHandle).values()) {
    yield* filesBelow(child, `${path}/${child.name}`);
  }
}

/**
 * Files of a drop, with those of dropped folders.
 *
 * @throws Error for a folder in a browser that hands none over to a page without a server: the button does.
 */
export async function filesOfDrop(transfer: DataTransfer): Promise<Found[]> {
  // All handles are asked for before the first wait: the list is empty afterwards.
  const asked = [...transfer.items]
    .filter((item) => item.kind === 'file')
    .map((item) => ({
      folder: item.webkitGetAsEntry()?.isDirectory ?? false,
      file: item.getAsFile(),
      handle: (item as DroppedItem).getAsFileSystemHandle?.() ?? null,
    }));
  const found: Found[] = [];
  for (const { folder, file, handle } of asked) {
    if (!folder) {
      if (file !== null) found.push({ path: file.name, file });
      continue;
    }
    const opened = await handle;
    if (opened === null) throw new Error('this browser hands no dropped folders over: choose it with the button');
    for await (const one of filesBelow(opened, opened.name)) {
      found.push(one);
      if (found.length > MAX_FILES) throw new Error('too many files for a log');
    }
  }
  return found;
}

/** Files of a chosen folder or of a chosen file. */
export function filesOfInput(input: HTMLInputElement): Found[] {
  return [...(input.files ?? [])].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
}
