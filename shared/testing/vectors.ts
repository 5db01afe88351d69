import { readFileSync } from 'node:fs';

/**
 * A frozen vector file of `shared/vectors/`. What it holds never changes: a new version gets a new
 * file.
 */
export function vectors<Shape>(name: string): Shape {
  return JSON.parse(
    readFileSync(new URL(`../vectors/${name}.json`, import.meta.url), 'utf8'),
  ) as Shape;
}
