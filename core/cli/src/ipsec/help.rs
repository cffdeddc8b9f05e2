//! `ipsec --help`.

/// All commands.
pub const TEXT: &str = "\
ipsec COMMAND [ARGUMENTS]

The daemon:
        start [--nofork] [--conf FILE] [--auto-update SECONDS]
              [--debug | --debug-more | --debug-all]
        start --conftest  only says what is wrong in ipsec.conf; the exit status is 2 then
        stop
        restart [options of start]
        update          gives charon what changed in ipsec.conf
        reload          gives charon all of ipsec.conf anew
        status [NAME]
        statusall [NAME]

Connections:
        up NAME         says whether it worked; the exit status is 0 in either case, as
                        strongSwan's is (that of 'swanctl --initiate' tells)
        down NAME       also NAME[] NAME{} NAME[*] NAME{*} [N] {N}
        down-srcip START [END]
        route NAME
        unroute NAME
        leases [POOL [ADDRESS]]

Lists:
        listalgs listplugins listpubkeys listcerts listcacerts listaacerts
        listocspcerts listacerts listgroups listcainfos listcrls listocsp
        listall [--utc]
        listcounters [NAME]
        resetcounters [NAME]

Credentials:
        rereadsecrets rereadcacerts rereadaacerts rereadocspcerts rereadacerts
        rereadcrls rereadall
        purgeocsp purgecrls purgecerts purgeike

This installation:
        version | --version
        --versioncode
        --copyright
        --directory     where charon, starter and stroke are
        --confdir       where ipsec.conf is
        --piddir        where pid files and sockets are
        --help";
