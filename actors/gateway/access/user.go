package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/marketprism/marketprism/actors/audit"
	"github.com/marketprism/marketprism/internal/identity"
)

const maxUserName = 64

// checkName says what is wrong with the name of a user.
func checkName(name string) error {
	if name == "" || len(name) > maxUserName || strings.Trim(name[:1], "abcdefghijklmnopqrstuvwxyz0123456789") != "" ||
		strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789._-@+") != "" {
		return field("name", "must be 1 to %d of a-z, 0-9 and . _ - @ +, and begin with a letter or digit", maxUserName)
	}
	return nil
}

// Users lists all users by name, without their hashes.
func (d *Desk) Users() []User {
	all := []User{}
	for _, u := range listed(d.mirror, d.mirror.users) {
		all = append(all, u.shown())
	}
	slices.SortFunc(all, func(a, b User) int { return strings.Compare(a.Name, b.Name) })
	return all
}

func (u *User) shown() User {
	s := *u
	s.Hash = ""
	return s
}

// Act is who asks for a change, and from where.
type Act struct {
	By   identity.Principal
	From Client
}

// do makes a change and puts down what became of it.
func (d *Desk) do(ctx context.Context, a Act, action, target, detail string, fn func() error) error {
	err := fn()
	e := audit.By(a.By, action, target)
	e.Detail = detail
	e.Address, e.RequestID, e.TraceID = a.From.Address, a.From.RequestID, a.From.TraceID
	d.record(ctx, e.Of(err))
	return err
}

// AddUser makes a user. Errors: *FieldError, ErrExists, ErrBusy, bucket.ErrUnavailable.
func (d *Desk) AddUser(ctx context.Context, a Act, name, password string, role identity.Role) (User, error) {
	var made User
	err := d.do(ctx, a, "user.add", name, "role "+role.String(), func() error {
		u, err := d.addUser(ctx, name, password, role)
		if err == nil {
			made = u.shown()
		}
		return err
	})
	return made, err
}

func (d *Desk) addUser(ctx context.Context, name, password string, role identity.Role) (*User, error) {
	if err := errors.Join(checkName(name), d.o.Config.Password.checkPassword(name, password)); err != nil {
		return nil, err
	}
	if role == identity.None {
		return nil, field("role", "must be one of %s", strings.Join(identity.Roles(), ", "))
	}
	if d.mirror.user(name) != nil {
		return nil, fmt.Errorf("user %s: %w", name, ErrExists)
	}
	hash, err := d.hasher.hash(ctx, password)
	if err != nil {
		return nil, err
	}
	now := d.o.Now().UTC()
	return change(ctx, d, userKey(name), func(u *User) (*User, error) {
		if u != nil {
			return nil, fmt.Errorf("user %s: %w", name, ErrExists)
		}
		return &User{Name: name, Role: role, Hash: hash, Created: now, Changed: now}, nil
	})
}

// UserChange is what is to be another; nil fields stay.
type UserChange struct {
	Role     *identity.Role
	Disabled *bool
	Password *string
}

// ChangeUser changes a user. Another password, or disabling, ends the logins. Errors:
// *FieldError, ErrUnknown, ErrLastAdmin, ErrBusy, bucket.ErrUnavailable.
func (d *Desk) ChangeUser(ctx context.Context, a Act, name string, c UserChange) (User, error) {
	var changed User
	action, detail := c.words()
	err := d.do(ctx, a, action, name, detail, func() error {
		u, err := d.changeUser(ctx, name, c)
		if err == nil {
			changed = u.shown()
		}
		return err
	})
	return changed, err
}

// words are the action and what it says in the audit log.
func (c UserChange) words() (action, detail string) {
	switch {
	case c.Password != nil:
		return "user.password", ""
	case c.Disabled != nil && *c.Disabled:
		return "user.disable", ""
	case c.Disabled != nil:
		return "user.enable", ""
	case c.Role != nil:
		return "user.role", "role " + c.Role.String()
	}
	return "user.change", ""
}

func (d *Desk) changeUser(ctx context.Context, name string, c UserChange) (*User, error) {
	if c.Role != nil && *c.Role == identity.None {
		return nil, field("role", "must be one of %s", strings.Join(identity.Roles(), ", "))
	}
	if d.mirror.user(name) == nil {
		return nil, fmt.Errorf("user %s: %w", name, ErrUnknown)
	}
	hash := ""
	if c.Password != nil {
		err := d.o.Config.Password.checkPassword(name, *c.Password)
		if err == nil {
			hash, err = d.hasher.hash(ctx, *c.Password)
		}
		if err != nil {
			return nil, err
		}
	}
	now := d.o.Now().UTC()
	changed, err := change(ctx, d, userKey(name), func(u *User) (*User, error) {
		if u == nil {
			return nil, fmt.Errorf("user %s: %w", name, ErrUnknown)
		}
		next := *u
		if c.Role != nil {
			next.Role = *c.Role
		}
		if c.Disabled != nil {
			next.Disabled = *c.Disabled
		}
		if hash != "" {
			next.Hash, next.Changed = hash, now
		}
		return &next, d.keepsAdmin(u, &next)
	})
	if err != nil {
		return nil, err
	}
	switch {
	case hash != "":
		err = d.endAll(ctx, name, endedPassword)
	case changed.Disabled:
		err = d.endAll(ctx, name, endedUser)
	}
	if err != nil {
		// They are refused all the same: by the time of the password, or the user.
		d.log.Warn("logins of a changed user could not be ended", userField(name), errField(err))
	}
	return changed, nil
}

// keepsAdmin refuses what leaves nobody to administer the system. next is nil for a
// removal.
func (d *Desk) keepsAdmin(before, next *User) error {
	was := before.Role == identity.Admin && !before.Disabled
	stays := next != nil && next.Role == identity.Admin && !next.Disabled
	if was && !stays && d.mirror.admins(before.Name) == 0 {
		return fmt.Errorf("user %s: %w", before.Name, ErrLastAdmin)
	}
	return nil
}

// RemoveUser removes a user and ends the logins. Errors: ErrUnknown, ErrLastAdmin,
// bucket.ErrUnavailable.
func (d *Desk) RemoveUser(ctx context.Context, a Act, name string) error {
	return d.do(ctx, a, "user.remove", name, "", func() error {
		u := d.mirror.user(name)
		if u == nil {
			return fmt.Errorf("user %s: %w", name, ErrUnknown)
		}
		if err := d.keepsAdmin(u, nil); err != nil {
			return err
		}
		if err := d.remove(ctx, userKey(name)); err != nil {
			return err
		}
		if err := d.endAll(ctx, name, endedUser); err != nil {
			d.log.Warn("logins of a removed user could not be ended", userField(name), errField(err))
		}
		return nil
	})
}

// OwnPassword lets a user set another password, who shows the one that was. Errors:
// ErrCredential, *ThrottledError, *FieldError, ErrUnknown, ErrBusy,
// bucket.ErrUnavailable.
func (d *Desk) OwnPassword(ctx context.Context, a Act, before, next string) error {
	name := a.By.Subject
	u := d.mirror.user(name)
	if u == nil || a.By.Kind != identity.User {
		return fmt.Errorf("user %s: %w", name, ErrUnknown)
	}
	if wait := d.throttle.wait(name, a.From.Address); wait > 0 {
		return &ThrottledError{wait}
	}
	d.throttle.begin(name, a.From.Address)
	ok, _, err := d.hasher.matches(ctx, before, u.Hash)
	switch {
	case err != nil:
		d.throttle.unjudged(name, a.From.Address)
		return err
	case !ok:
		return ErrCredential
	}
	d.throttle.succeeded(name, a.From.Address)
	_, err = d.ChangeUser(ctx, a, name, UserChange{Password: &next})
	return err
}
