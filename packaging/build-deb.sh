#!/usr/bin/env bash
# Makes bilbycast-edge_VERSION_ARCH.deb out of programs that are built already.
#
#     packaging/build-deb.sh FOLDER-OF-THE-PROGRAMS FOLDER-FOR-THE-PACKAGE
#
# dpkg-deb and a script of this size, and not cargo-deb: dpkg-deb is on every Debian, cargo-deb takes minutes to compile on
# each machine that makes or tests a package, and it would want the list of files in the manifest of one of two programs
# that have equal rights to it. What is packed is listed below, once.
#
# DEB_VERSION       version of the package; by default that of the workspace, as revision 1
# DEB_COMPRESSION   xz by default; none for a test
# DEB_MAINTAINER    "Name <address>" of whoever makes the package
# SOURCE_DATE_EPOCH Unix time of all files in it; by default that of the newest commit. Same programs, same package.
set -euo pipefail

if [ $# -ne 2 ]; then
    echo "usage: $0 FOLDER-OF-THE-PROGRAMS FOLDER-FOR-THE-PACKAGE" >&2
    exit 2
fi
bin=$(cd "$1" && pwd)
mkdir -p "$2"
out=$(cd "$2" && pwd)
cd "$(dirname "$0")/.."

programs=(bilbycast-analyze bilbycast-controlplane bilbycast-dataplane)
for program in "${programs[@]}" bilbycast-manuals; do
    if ! [ -x "$bin/$program" ]; then
        echo "$bin/$program is missing; 'make deb' builds it" >&2
        exit 1
    fi
done

workspace_version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"$/\1/p' Cargo.toml)
version=${DEB_VERSION:-$workspace_version-1}
architecture=$(dpkg --print-architecture)
maintainer=${DEB_MAINTAINER:-bilbycast-edge <bilbycast-edge@localhost>}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y Cargo.toml)}
export SOURCE_DATE_EPOCH

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
chmod 755 "$tree"

# The newest version of the C library that a program asks for, for Depends.
glibc=$(objdump -T "${programs[@]/#/$bin/}" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -n 1 | cut -d _ -f 2)

for program in "${programs[@]}"; do
    install -D -m 755 "$bin/$program" "$tree/usr/bin/$program"
    # Names of functions stay, for the backtrace of a panic.
    strip --strip-debug "$tree/usr/bin/$program"
done

for unit in bilbycast-{controlplane,dataplane}.service bilbycast-{controlplane,monitor}.socket; do
    install -D -m 644 "systemd/$unit" "$tree/lib/systemd/system/$unit"
done
install -D -m 644 systemd/bilbycast.sysusers "$tree/usr/lib/sysusers.d/bilbycast.conf"
install -D -m 644 systemd/bilbycast.tmpfiles "$tree/usr/lib/tmpfiles.d/bilbycast.conf"
for name in bilbycast-dataplane bilbycast-controlplane; do
    install -D -m 644 "systemd/$name.default" "$tree/etc/default/$name"
done
# What config.json begins as. The control plane rewrites that one, so it is no configuration file in dpkg's sense.
install -D -m 644 packaging/config.json "$tree/usr/share/bilbycast/config.json"

"$bin/bilbycast-manuals" "$tree/usr/share"
find "$tree/usr/share/man" -type f -exec gzip -9n {} +

doc=$tree/usr/share/doc/bilbycast-edge
mkdir -p "$doc/examples"
install -m 644 README.md ARCHITECTURE.md "$doc"
cp -r docs "$doc/docs"
cat packaging/debian/copyright LICENSE-MIT >"$doc/copyright"
install -m 644 systemd/bilbycast-dataplane-{cores,realtime}.conf "$doc/examples"
cp -R prometheus grafana "$doc/examples"
rm -rf "$doc/examples/prometheus/tests"
chmod -R u=rwX,go=rX "$tree"

mkdir "$tree/DEBIAN"
for script in postinst prerm postrm; do
    install -m 755 "packaging/debian/$script" "$tree/DEBIAN/$script"
done
(cd "$tree" && find etc -type f | sort | sed 's,^,/,') >"$tree/DEBIAN/conffiles"
(cd "$tree" && find usr lib -type f | LC_ALL=C sort | xargs md5sum) >"$tree/DEBIAN/md5sums"
sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" -e "s/@MAINTAINER@/$maintainer/" \
    -e "s/@GLIBC@/$glibc/" -e "s/@KIB@/$(du -sk --apparent-size "$tree" | cut -f 1)/" \
    packaging/debian/control >"$tree/DEBIAN/control"
chmod 644 "$tree"/DEBIAN/{conffiles,control,md5sums}

package=$out/bilbycast-edge_${version}_$architecture.deb
dpkg-deb --root-owner-group -Z"${DEB_COMPRESSION:-xz}" --build "$tree" "$package" >/dev/null
echo "$package"
