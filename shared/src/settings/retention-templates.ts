/** A beginning for the section `retention:` of a policy. */
export interface RetentionTemplate {
  readonly name: string;
  /** For whom it is, in one line. */
  readonly says: string;
  /** The section, as YAML. */
  readonly text: string;
}

const sectionOf = (rule: string): string => `retention:\n  grace: 7d\n  rules:\n    - ${rule}\n`;

/** Few, for what a lab has; who needs another changes one. */
export const retentionTemplates: readonly RetentionTemplate[] = [
  {
    name: 'raw',
    says: 'raw data of instruments: every state of 90 days, then fewer for ten years, locked for one',
    text: sectionOf(
      '{match: {class: [raw], agent: [hplc-*]}, lock: 1y, keep: {within: 90d, daily: 30, weekly: 12, monthly: 24, yearly: 10, last: 3}, gone: forever}',
    ),
  },
  {
    name: 'records',
    says: 'records that a rule book wants for ten years: every state, and nobody removes one sooner',
    text: sectionOf('{match: {class: [records]}, lock: 10y, keep: {within: 10y}, gone: 10y}'),
  },
  {
    name: 'working',
    says: 'methods, sequences and reports that people work on: a year in months, the newest for ever',
    text: sectionOf(
      '{match: {class: [working]}, keep: {within: 30d, daily: 14, weekly: 8, monthly: 12, last: 2}, gone: 1y}',
    ),
  },
  {
    name: 'everything',
    says: 'nothing ever goes, which is also what holds without any rule',
    text: sectionOf('{keep: all}'),
  },
];
