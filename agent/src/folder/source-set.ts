import { pathText } from '@aliquot/shared/cli/format';
import type { AgentConfig } from '@aliquot/shared/settings/schema';
import { isWholePath } from '../source/excludes.ts';
import {
  type BytePath,
  fromText,
  isSamePath,
  isWithin,
  pathBytes,
  spelledPath,
} from '../source/paths.ts';
import { patienceOf } from '../source/patience.ts';
import { rootFileProblem } from '../source/problem.ts';
import { quietTime } from '../source/proof.ts';
import { builtInExcludes, type Exclude } from '../source/rules.ts';
import { type Source, sourceOf } from '../source/source.ts';
import { type Lead, type LeadParts, leadOf } from './leads.ts';

/** The watched folders as they are at this moment. */
export interface SourceSet {
  /**
   * What is watched now: each folder of the configuration, and for one that is a symbolic link both
   * the link and what it leads to. Where it led before stays among them until a person accepts the
   * change: what was captured there must neither be called gone nor be forgotten.
   */
  readonly now: readonly Source[];
  /** Looks where the links lead. */
  refresh(): Promise<readonly Source[]>;
}

/** Sources that nobody configured, or that never change. */
export function fixedSources(now: readonly Source[]): SourceSet {
  return { now, refresh: async () => now };
}

export interface SourceSetParts extends LeadParts {
  readonly pathKey: Uint8Array;
}

/** The sources of a configuration. */
export class ConfiguredSources implements SourceSet {
  readonly #config: AgentConfig['sources'];
  readonly #parts: SourceSetParts;
  /** The folders of the configuration, spelled as the disk does once somebody looked. */
  #roots: readonly BytePath[];
  now: readonly Source[];

  constructor(config: AgentConfig['sources'], parts: SourceSetParts) {
    this.#config = config;
    this.#parts = parts;
    this.#roots = config.map(({ path }) => fromText(path, '/'));
    // What is remembered has to do until somebody looks: a mere `status` must not wait for a drive.
    this.now = this.#sources(
      this.#roots.map((root) => {
        const targets = parts.places.targets(root);
        return { isLink: targets.length > 0, targets, kind: undefined, trouble: undefined };
      }),
    );
  }

  async refresh(): Promise<readonly Source[]> {
    const leads: Lead[] = [];
    this.#roots = await Promise.all(
      this.#config.map(({ path }) => spelledPath(this.#parts.port, fromText(path, '/'))),
    );
    for (const root of this.#roots) leads.push(configuredLead(await leadOf(this.#parts, root)));
    await this.#parts.places.save();
    this.now = this.#sources(leads);
    return this.now;
  }

  #sources(leads: readonly Lead[]): readonly Source[] {
    const { pathKey, ownFolders } = this.#parts;
    const sources: Source[] = [];
    const roots = this.#roots;
    const add = (at: number, root: BytePath, more: Pick<Source, 'isLink' | 'trouble'>): void => {
      const {
        class: className,
        exclude,
        folderResults,
        quietPeriodSeconds,
        maxUnsettledSeconds,
      } = this.#config[at] as AgentConfig['sources'][number];
      const source = sourceOf(pathKey, {
        root,
        class: className,
        rules: {
          exclude: [...excludesAt(exclude, roots[at] ?? root, root), ...builtInExcludes(root)],
          folderResults,
          leaveOut: ownFolders,
        },
        proof: quietTime(quietPeriodSeconds),
        patience: patienceOf(quietPeriodSeconds, maxUnsettledSeconds),
        ...more,
      });
      sources.push(source);
    };
    for (const [at, { isLink, trouble }] of leads.entries()) {
      const root = roots[at] ?? '';
      // By a short name, which only the disk knows, one folder may stand here twice.
      if (roots.findIndex((other) => isSamePath(other, root)) === at)
        add(at, root, { isLink, trouble });
    }
    for (const [at, { targets }] of leads.entries()) {
      for (const target of [...targets].reverse()) {
        // What another source watches with all below it is watched.
        const isWatched = sources.some(
          (source) => source.isLink !== true && isWithin(target, source.root),
        );
        if (!isWatched && !ownFolders.some((own) => isWithin(target, own)))
          add(at, target, { isLink: false, trouble: undefined });
      }
    }
    // One inside another captures its own part; the outer one leaves that out.
    return sources.map((source) => {
      const inner = sources
        .map(({ root }) => root)
        .filter((root) => !isSamePath(root, source.root) && isWithin(root, source.root));
      return { ...source, rules: { ...source.rules, leaveOut: [...ownFolders, ...inner] } };
    });
  }
}

/** A file is watched like a folder, and the one who named it expects more. */
function configuredLead(lead: Lead): Lead {
  return lead.kind === 'file' && lead.trouble === undefined
    ? { ...lead, trouble: rootFileProblem() }
    : lead;
}

/**
 * The excludes of a source for a folder that its link leads to: whole paths mean what they mean by
 * the link's name too.
 */
function excludesAt(globs: readonly string[], link: BytePath, root: BytePath): Exclude[] {
  const name = named(link);
  return globs.flatMap((glob) => {
    const plain = { glob, below: root };
    if (
      root === link ||
      !isWholePath(glob) ||
      !glob.startsWith(name) ||
      !/^([\\/]|$)/.test(glob.slice(name.length))
    )
      return [plain];
    return [plain, { glob: `${escaped(named(root))}${glob.slice(name.length)}`, below: root }];
  });
}

/** A path as a pattern that means just it. */
function escaped(path: string): string {
  return path.replaceAll(/[*?[\]{}()!+@]/g, '[$&]');
}

function named(path: BytePath): string {
  return pathText(pathBytes(path));
}
