/**
 * What an agent's problems are called at central IT, by the codes that its heartbeat carries. The
 * agent's own words name each path, and stay at the PC: here nobody may read names without the
 * catalog's key.
 */
const words: Readonly<Record<string, string>> = {
  unreadable: 'files that cannot be read',
  changing: 'files that changed each time while they were read',
  special: 'pipes, sockets or devices',
  unlistable: 'folders that cannot be listed',
  'root-missing': 'watched folders that are not there',
  'root-file': 'watched folders that are files',
  'link-moved': 'links that lead elsewhere than before',
  'mount-missing': 'drives or shares that are not connected',
  replaced: 'watched folders that are others than before',
  'all-gone': 'watched folders of which everything is gone at once',
  'ended-early': 'backups that were ended before everything was captured',
  'all-excluded': 'watched folders of which exclude patterns leave nothing',
  'odd-time': 'files with a time that cannot be kept',
  vanished: 'paths that were named and are not there',
  unsettled: 'results that do not come to rest',
  paused: 'watched folders that have been paused for long',
  configuration: 'agent.yaml with mistakes',
  'not-here': 'files of which only a placeholder is on the PC',
  junction: 'junctions, which are not followed',
  streams: 'files with streams beside their content',
  'no-sources': 'PCs that were not told what to watch',
  'release-refused': 'PCs that do not take the release that they are told',
  'release-bad': 'PCs that came back from a release',
  'release-by-others': 'PCs that a package manager must update',
  'settings-refused': 'settings that the PC refuses',
  uncovered: 'folders that lost their cover by settings',
  'queue-full': 'files that found no room in the queue',
  'queue-damage': 'damaged files of the queue',
  lost: 'versions that are lost',
};

/** The plural of a kind of problem; undefined for a code that this release does not know. */
export function problemWords(code: string): string | undefined {
  return words[code];
}
