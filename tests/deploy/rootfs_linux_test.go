package deploy

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// rootfs is the directory that a container takes for its root. What is mounted below it is
// seen on the container's thread alone, and gone with it.
type rootfs string

func (r rootfs) at(path string) string { return filepath.Join(string(r), path) }

// lay mounts an empty root with what every container has.
func (r rootfs) lay(hosts string) error {
	if err := unix.Mount("tmpfs", string(r), "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mounting a root: %w", err)
	}
	var errs []error
	for _, dir := range []string{"proc", "dev", "etc", "run/secrets"} {
		errs = append(errs, os.MkdirAll(r.at(dir), 0o755))
	}
	for _, name := range []string{"null", "zero", "random", "urandom"} {
		errs = append(errs, r.bind("/dev/"+name, "/dev/"+name, false))
	}
	return errors.Join(append(errs, os.WriteFile(r.at("etc/hosts"), []byte(hosts), 0o644), os.WriteFile(r.at("etc/resolv.conf"), nil, 0o644))...)
}

// system adds the machine's own programs, and no setting of it but what they need to be
// found and to trust.
func (r rootfs) system() error {
	errs := []error{r.bind("/usr", "/usr", true), r.open("/tmp")}
	for _, name := range []string{"bin", "sbin", "lib", "lib64"} {
		errs = append(errs, os.Symlink("usr/"+name, r.at(name)))
	}
	settings := []string{"/etc/passwd", "/etc/group", "/etc/nsswitch.conf", "/etc/ld.so.cache", "/etc/ssl", "/etc/alternatives"}
	java, err := filepath.Glob("/etc/java*")
	for _, path := range append(settings, java...) {
		if _, err := os.Stat(path); err == nil {
			errs = append(errs, r.bind(path, path, true))
		}
	}
	return errors.Join(append(errs, err)...)
}

// open adds a file system in memory that everybody may write to.
func (r rootfs) open(target string) error {
	if err := os.MkdirAll(r.at(target), 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", r.at(target), "tmpfs", 0, "mode=1777"); err != nil {
		return fmt.Errorf("mounting %s: %w", target, err)
	}
	return nil
}

// bind shows a file or a directory of the machine as target.
func (r rootfs) bind(source, target string, readOnly bool) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	at := r.at(target)
	if info.IsDir() {
		err = os.MkdirAll(at, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(at), 0o755); err == nil {
		err = os.WriteFile(at, nil, 0o644)
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(source, at, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mounting %s: %w", target, err)
	}
	if readOnly {
		if err := unix.Mount("", at, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
			return fmt.Errorf("mounting %s to be read only: %w", target, err)
		}
	}
	return nil
}

// put writes a file of an owner.
func (r rootfs) put(target, text string, owner int, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(r.at(target)), 0o755); err != nil {
		return err
	}
	// The mode is set beside, so that no umask counts.
	return errors.Join(os.WriteFile(r.at(target), []byte(text), mode), os.Chmod(r.at(target), mode), os.Chown(r.at(target), owner, owner))
}

// seal lets nobody write to the root any more; what is mounted below it stays as it is.
func (r rootfs) seal() error {
	if err := unix.Mount("", string(r), "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("making the root read only: %w", err)
	}
	return nil
}

// known are the lines of /etc/hosts.
func known(names map[string]string) string {
	var b strings.Builder
	b.WriteString("127.0.0.1 localhost\n::1 localhost\n")
	for name, address := range names {
		fmt.Fprintf(&b, "%s %s\n", address, name)
	}
	return b.String()
}
