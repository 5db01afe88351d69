/*
 * What counts where nobody said otherwise. Apart from the schema, so that the threads that read
 * files do not load its library.
 */

/** The class of files for which nobody chose one. */
export const DEFAULT_CLASS = 'default';

/**
 * Folders that the common instrument makers write as one result (Agilent, Bruker, Waters, Thermo).
 */
export const defaultFolderResults: readonly string[] = ['*.D', '*.d', '*.raw', '*.RAW'];

/** The default: longer than most runs take, short enough that it is reported on the same day. */
export const DEFAULT_MAX_UNSETTLED_SECONDS = 3600;
