/*
 * What setup and `aliquot-agent service` need of the service manager: registering, removing,
 * starting, stopping.
 */
#include "host.h"
#include "messages.h"
#include <ntsecapi.h>
#include <sddl.h>
#include <wchar.h>

#define EVENT_KEY L"SYSTEM\\CurrentControlSet\\Services\\EventLog\\Application\\" SERVICE_NAME
/* Longer than the half minute that the host gives the agent. */
#define STOP_WAIT_SECONDS 60
#define START_WAIT_SECONDS 30

/* Says what failed, with the way out where there is one. Returns the exit code. */
static int failed(const wchar_t *what, DWORD error) {
  const wchar_t *advice = error == ERROR_ACCESS_DENIED ? L"; open the command line as an administrator"
                          : error == ERROR_SERVICE_DOES_NOT_EXIST ? L"; run: aliquot-agent service install"
                          : error == ERROR_SERVICE_LOGON_FAILED
                              ? L"; give the account its password in services.msc, or use a group managed account"
                              : L"";
  say(L"aliquot-agent: cannot %ls the service %ls: %ls%ls [HOST_SERVICE]", what, SERVICE_NAME, systemWords(error), advice);
  return HOST_FAILED;
}

/*
 * Lets an account log on as a service, as services.msc does. Accounts of the system may already.
 * FALSE with an error.
 */
static BOOL allowLogon(const wchar_t *account) {
  BYTE sid[SECURITY_MAX_SID_SIZE];
  wchar_t domain[256], name[] = L"SeServiceLogonRight";
  DWORD sidSize = sizeof sid, domainChars = ARRAYSIZE(domain);
  SID_NAME_USE use;
  if (!LookupAccountNameW(NULL, account, sid, &sidSize, domain, &domainChars, &use)) return FALSE;
  LSA_OBJECT_ATTRIBUTES attributes = {0};
  LSA_HANDLE policy;
  LSA_UNICODE_STRING right = {.Buffer = name, .Length = sizeof name - sizeof *name, .MaximumLength = sizeof name};
  NTSTATUS status = LsaOpenPolicy(NULL, &attributes, POLICY_LOOKUP_NAMES | POLICY_CREATE_ACCOUNT, &policy);
  if (status == 0) {
    status = LsaAddAccountRights(policy, sid, &right, 1);
    LsaClose(policy);
  }
  SetLastError(LsaNtStatusToWinError(status));
  return status == 0;
}

/*
 * What a service of this release is beside its command line. Windows that lack one of these (Wine)
 * go on without it.
 */
static void configure(SC_HANDLE service, BOOL local) {
  SERVICE_DESCRIPTIONW description = {
      .lpDescription = (wchar_t *)L"Keeps every result that this PC's instruments write, encrypted, "
                                  L"at the collector of your laboratory."};
  SERVICE_DELAYED_AUTO_START_INFO delayed = {.fDelayedAutostart = TRUE};
  SERVICE_SID_INFO sid = {.dwServiceSidType = SERVICE_SID_TYPE_UNRESTRICTED};
  /* Enough for the host's half minute: the system's own value is ten seconds. */
  SERVICE_PRESHUTDOWN_INFO preshutdown = {.dwPreshutdownTimeout = 45000};
  /* For the death of the host. The agent's own is the host's to mend. */
  SC_ACTION restart[3] = {{SC_ACTION_RESTART, 5000}, {SC_ACTION_RESTART, 30000}, {SC_ACTION_RESTART, 300000}};
  SERVICE_FAILURE_ACTIONSW failure = {.dwResetPeriod = 86400, .cActions = 3, .lpsaActions = restart};
  SERVICE_FAILURE_ACTIONS_FLAG always = {.fFailureActionsOnNonCrashFailures = TRUE};
  /*
   * Read past access lists, cross folders, give symbolic links back: nothing else that LocalSystem
   * may do.
   */
  SERVICE_REQUIRED_PRIVILEGES_INFOW privileges = {
      .pmszRequiredPrivileges = (wchar_t *)L"SeBackupPrivilege\0SeChangeNotifyPrivilege\0SeCreateSymbolicLinkPrivilege\0"};
  ChangeServiceConfig2W(service, SERVICE_CONFIG_DESCRIPTION, &description);
  ChangeServiceConfig2W(service, SERVICE_CONFIG_DELAYED_AUTO_START_INFO, &delayed);
  ChangeServiceConfig2W(service, SERVICE_CONFIG_SERVICE_SID_INFO, &sid);
  ChangeServiceConfig2W(service, SERVICE_CONFIG_PRESHUTDOWN_INFO, &preshutdown);
  ChangeServiceConfig2W(service, SERVICE_CONFIG_FAILURE_ACTIONS, &failure);
  ChangeServiceConfig2W(service, SERVICE_CONFIG_FAILURE_ACTIONS_FLAG, &always);
  /*
   * Another account has what its administrator gave it; asking for more would keep the service from
   * starting.
   */
  if (local) ChangeServiceConfig2W(service, SERVICE_CONFIG_REQUIRED_PRIVILEGES_INFO, &privileges);
}

/* The event log finds our sentences in this program. */
static void registerEvents(const wchar_t *program) {
  DWORD types = EVENTLOG_ERROR_TYPE | EVENTLOG_WARNING_TYPE | EVENTLOG_INFORMATION_TYPE;
  HKEY key;
  if (RegCreateKeyExW(HKEY_LOCAL_MACHINE, EVENT_KEY, 0, NULL, 0, KEY_SET_VALUE, NULL, &key, NULL) != ERROR_SUCCESS) return;
  RegSetValueExW(key, L"EventMessageFile", 0, REG_SZ, (const BYTE *)program, (DWORD)((wcslen(program) + 1) * sizeof *program));
  RegSetValueExW(key, L"TypesSupported", 0, REG_DWORD, (const BYTE *)&types, sizeof types);
  RegCloseKey(key);
}

/*
 * Makes the service, or makes one that is there as this release wants it: an upgrade must not lose
 * it in between.
 */
static int registerService(SC_HANDLE manager, int argc, wchar_t **argv) {
  wchar_t root[PATH_CHARS], program[PATH_CHARS], folder[PATH_CHARS], command[3 * PATH_CHARS];
  const wchar_t *data = option(argc, argv, L"--data"), *account = option(argc, argv, L"--account");
  const wchar_t *start = option(argc, argv, L"--start");
  /*
   * Windows splits an unquoted path at its blanks and starts what it finds first. So both are
   * quoted, always.
   */
  BOOL fine = rootFolder(root) && SUCCEEDED(StringCchPrintfW(program, PATH_CHARS, L"%ls\\host.exe", root)) &&
              (data == NULL ? defaultDataFolder(folder) : SUCCEEDED(StringCchCopyW(folder, PATH_CHARS, data))) &&
              SUCCEEDED(StringCchPrintfW(command, ARRAYSIZE(command), L"\"%ls\" as-service --data \"%ls\"", program, folder));
  size_t length = fine ? wcslen(folder) : 0;
  if (!fine || length < 4 || folder[1] != L':' || folder[length - 1] == L'\\' || wcspbrk(folder, L"\"%") != NULL) {
    say(L"aliquot-agent: --data must be a whole path on a disk of this PC, such as D:\\Aliquot [HOST_USAGE]");
    return HOST_USAGE;
  }
  DWORD when = start != NULL && wcscmp(start, L"manual") == 0 ? SERVICE_DEMAND_START : SERVICE_AUTO_START;
  if (account != NULL && !allowLogon(account)) {
    say(L"aliquot-agent: the account %ls cannot be used: %ls [HOST_ACCOUNT]", account, systemWords(GetLastError()));
    return HOST_FAILED;
  }
  SC_HANDLE service = CreateServiceW(manager, SERVICE_NAME, SERVICE_TITLE, SERVICE_ALL_ACCESS, SERVICE_WIN32_OWN_PROCESS, when,
                                     SERVICE_ERROR_NORMAL, command, NULL, NULL, NULL, account, NULL);
  if (service == NULL && GetLastError() == ERROR_SERVICE_EXISTS) {
    service = OpenServiceW(manager, SERVICE_NAME, SERVICE_ALL_ACCESS);
    if (service != NULL && !ChangeServiceConfigW(service, SERVICE_NO_CHANGE, when, SERVICE_NO_CHANGE, command, NULL, NULL, NULL,
                                                 account, NULL, SERVICE_TITLE)) {
      DWORD error = GetLastError();
      CloseServiceHandle(service);
      return failed(L"change", error);
    }
  }
  if (service == NULL) return failed(L"register", GetLastError());
  configure(service, account == NULL);
  registerEvents(program);
  CloseServiceHandle(service);
  return HOST_OK;
}

/* Waits until the service has that state. FALSE when it does not get there. */
static BOOL reaches(SC_HANDLE service, DWORD state, DWORD seconds) {
  SERVICE_STATUS status;
  for (DWORD tenth = 0; tenth < seconds * 10; tenth += 1) {
    if (!QueryServiceStatus(service, &status)) return FALSE;
    if (status.dwCurrentState == state) return TRUE;
    if (state == SERVICE_RUNNING && status.dwCurrentState == SERVICE_STOPPED) break;
    Sleep(100);
  }
  SetLastError(ERROR_SERVICE_REQUEST_TIMEOUT);
  return FALSE;
}

static int stop(SC_HANDLE service) {
  SERVICE_STATUS status;
  DWORD error = ControlService(service, SERVICE_CONTROL_STOP, &status) ? ERROR_SUCCESS : GetLastError();
  /*
   * One that is stopping already takes no second word, and one that is not there takes none: what
   * counts is where it gets.
   */
  BOOL stopping = error == ERROR_SUCCESS || error == ERROR_SERVICE_CANNOT_ACCEPT_CTRL;
  if (reaches(service, SERVICE_STOPPED, stopping ? STOP_WAIT_SECONDS : 2)) return HOST_OK;
  return failed(L"stop", error == ERROR_SUCCESS ? GetLastError() : error);
}

static int start(SC_HANDLE service) {
  if (!StartServiceW(service, 0, NULL) && GetLastError() != ERROR_SERVICE_ALREADY_RUNNING) return failed(L"start", GetLastError());
  return reaches(service, SERVICE_RUNNING, START_WAIT_SECONDS) ? HOST_OK : failed(L"start", GetLastError());
}

/* Prints `running`, `stopped` or `changing`, and the service's command line behind it. */
static int state(SC_HANDLE service) {
  union {
    QUERY_SERVICE_CONFIGW config;
    BYTE bytes[8192]; /* the most there can be */
  } answer;
  DWORD needed;
  SERVICE_STATUS status;
  if (!QueryServiceStatus(service, &status) || !QueryServiceConfigW(service, &answer.config, sizeof answer, &needed))
    return failed(L"ask for", GetLastError());
  const wchar_t *word = status.dwCurrentState == SERVICE_RUNNING   ? L"running"
                        : status.dwCurrentState == SERVICE_STOPPED ? L"stopped"
                                                                   : L"changing";
  tell(L"%ls %ls", word, answer.config.lpBinaryPathName);
  return HOST_OK;
}

int control(int argc, wchar_t **argv) {
  const wchar_t *verb = argc > 1 ? argv[1] : L"";
  BOOL registers = wcscmp(verb, L"register") == 0, removes = wcscmp(verb, L"unregister") == 0;
  BOOL asks = wcscmp(verb, L"state") == 0;
  if (!registers && !removes && !asks && wcscmp(verb, L"start") != 0 && wcscmp(verb, L"stop") != 0) {
    say(L"usage: host control register [--data DIR] [--account NAME] [--start manual] | unregister | start | stop "
        L"| state [HOST_USAGE]");
    return HOST_USAGE;
  }
  SC_HANDLE manager = OpenSCManagerW(NULL, NULL, SC_MANAGER_CONNECT | (registers ? SC_MANAGER_CREATE_SERVICE : 0));
  if (manager == NULL) return failed(verb, GetLastError());
  int code;
  DWORD rights = SERVICE_QUERY_STATUS | (asks ? SERVICE_QUERY_CONFIG : SERVICE_START | SERVICE_STOP) | (removes ? DELETE : 0);
  SC_HANDLE service = NULL;
  if (registers) {
    code = registerService(manager, argc, argv);
  } else if ((service = OpenServiceW(manager, SERVICE_NAME, rights)) == NULL) {
    code = HOST_OK; /* what is not there needs no removing, and has a state */
    if (GetLastError() != ERROR_SERVICE_DOES_NOT_EXIST || !(removes || asks)) code = failed(verb, GetLastError());
    else if (asks) tell(L"absent");
  } else if (removes) {
    code = stop(service);
    if (code == HOST_OK && !DeleteService(service)) code = failed(L"remove", GetLastError());
    if (code == HOST_OK) RegDeleteKeyW(HKEY_LOCAL_MACHINE, EVENT_KEY);
  } else if (asks) {
    code = state(service);
  } else {
    code = wcscmp(verb, L"start") == 0 ? start(service) : stop(service);
  }
  if (service != NULL) CloseServiceHandle(service);
  CloseServiceHandle(manager);
  return code;
}
