import { isMap, type Plain } from './merge.ts';
import { spokenPath, unknownKey } from './read.ts';
import type { Mistake, SettingsText } from './text.ts';

/** Reads the maps of a policy file, and gathers each mistake with its place. */
export class MapReader {
  readonly lines: SettingsText;
  readonly mistakes: Mistake[] = [];

  constructor(lines: SettingsText) {
    this.lines = lines;
  }

  /** A map whose keys are of `accepted`, where those are given; an empty one after a mistake. */
  map(value: unknown, path: readonly PropertyKey[], accepted?: readonly string[]): Plain {
    if (!isMap(value)) {
      const what = path.length === 0 ? 'the policy' : spokenPath(path);
      this.say(path, `${what} must be a map${accepted ? ` of ${accepted.join(', ')}` : ''}`);
      return {};
    }
    for (const key of Object.keys(value)) {
      if (accepted !== undefined && !accepted.includes(key))
        this.say(path, unknownKey(key, accepted), key);
    }
    return value;
  }

  /** Names a mistake at a value, or at a key of the map there. */
  say(path: readonly PropertyKey[], message: string, key?: string): void {
    const place = key === undefined ? this.lines.placeOf(path) : this.lines.placeOfKey(path, key);
    this.mistakes.push({ ...place, message });
  }
}
