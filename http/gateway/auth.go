package gateway

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/marketprism/marketprism/actors/bucket"
	"github.com/marketprism/marketprism/actors/gateway/access"
	"github.com/marketprism/marketprism/http/chassis"
	"github.com/marketprism/marketprism/internal/identity"
)

// AuthOptions are what an Auth stands on.
type AuthOptions struct {
	Desk *access.Desk
	// Enforce: clients have to say who they are. Without it everybody may do everything,
	// and whatever credential is shown is not looked at.
	Enforce bool
	// Signer is of this process, Verifier of the program: services of it show what they
	// have signed.
	Signer   *identity.Signer
	Verifier *identity.Verifier
	// Services are the program's own: no other is shown who a client is.
	Services []string
}

// Auth is the Authenticator over users, keys and identities, and the Gate of the
// gateway's own server.
type Auth struct{ AuthOptions }

// NewAuth makes an Auth.
func NewAuth(o AuthOptions) (*Auth, error) {
	if o.Desk == nil || o.Signer == nil || o.Verifier == nil {
		return nil, errors.New("authentication needs a desk, a signer and a verifier")
	}
	return &Auth{o}, nil
}

// cookieName is that of the access token in a browser, which cannot send headers with
// a WebSocket or an event stream.
const cookieName = "marketprism_token"

const headerAPIKey = "X-Api-Key"

// Admit implements [Authenticator].
func (a *Auth) Admit(r *http.Request, t Target) (identity.Principal, error) {
	if !a.Enforce {
		return identity.Nobody(), nil
	}
	if t.Service == Service && access.Open(t.Method, t.Path) {
		return identity.Principal{Subject: "anonymous", Kind: identity.Anonymous}, nil
	}
	p, err := a.principal(r)
	if err != nil {
		return identity.Principal{}, refusal(err)
	}
	need := access.Required(t.Service, t.Method, t.Path)
	switch {
	case !allowed(p, t, need):
		err = chassis.Forbidden("this takes the role %s; here yours is %s", need, p.RoleAt(t.Service))
	case need == identity.Admin && ownAuth(t) && len(p.Scopes) > 0:
		// It could make itself a key, or a user, without them.
		err = chassis.Forbidden("a key that is narrowed by scopes manages neither users nor keys")
	default:
		return p, nil
	}
	a.Desk.Forbidden(p)
	return identity.Principal{}, err
}

// ownAuth says whether a request is for the gateway's own routes of users and keys.
func ownAuth(t Target) bool { return t.Service == Service && strings.HasPrefix(t.Path, authBase) }

// allowed says whether a role suffices. What concerns only oneself is not narrowed by
// scopes.
func allowed(p identity.Principal, t Target, need identity.Role) bool {
	if ownAuth(t) && need == identity.Reader {
		return p.Role >= need
	}
	return p.RoleAt(t.Service) >= need
}

// principal says who shows a request's credential: a service of the program by its
// identity, a client by one token or key. A client that asked a gateway for the gateway
// by its name is shown by what that has signed.
func (a *Auth) principal(r *http.Request) (identity.Principal, error) {
	if shown := r.Header.Values(identity.Header); len(shown) > 0 {
		if len(shown) > 1 {
			return identity.Principal{}, access.ErrCredential
		}
		p, err := a.Verifier.Verify(r.Context(), shown[0], Service)
		if err != nil {
			return identity.Principal{}, access.ErrCredential
		}
		return p, nil
	}
	c, err := credential(r)
	if err != nil {
		return identity.Principal{}, err
	}
	return a.Desk.Authenticate(r.Context(), c)
}

// credential reads what a client shows.
func credential(r *http.Request) (access.Credential, error) {
	var c access.Credential
	bearers, keys := r.Header.Values("Authorization"), r.Header.Values(headerAPIKey)
	if len(bearers) > 1 || len(keys) > 1 {
		return c, access.ErrCredential
	}
	if len(bearers) == 1 {
		scheme, token, ok := strings.Cut(bearers[0], " ")
		if !ok || !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(token) == "" {
			return c, access.ErrCredential
		}
		c.Token = strings.TrimSpace(token)
	}
	if len(keys) == 1 {
		if c.APIKey = keys[0]; c.APIKey == "" {
			return c, access.ErrCredential
		}
	}
	if cookies := r.CookiesNamed(cookieName); c == (access.Credential{}) && len(cookies) > 0 {
		if len(cookies) > 1 {
			return c, access.ErrCredential
		}
		c.Token = cookies[0].Value
	}
	return c, nil
}

// Still implements [Authenticator].
func (a *Auth) Still(p identity.Principal, t Target) bool {
	if !a.Enforce || p.Kind == identity.Service || p.Kind == identity.Anonymous {
		return true
	}
	now, ok := a.Desk.Still(p)
	return ok && allowed(now, t, access.Required(t.Service, t.Method, t.Path))
}

// Sign implements [Authenticator].
func (a *Auth) Sign(p identity.Principal, service string, h http.Header) error {
	h.Del("Authorization")
	h.Del(headerAPIKey)
	h.Del(identity.Header)
	withoutCookie(h)
	if !slices.Contains(a.Services, service) {
		return nil
	}
	if p.Kind == identity.Service {
		// It came through the gateway, which vouches for it as for a client: the gateway
		// does not sign in the name of another process's service.
		p = identity.Principal{Subject: p.Subject, Kind: identity.APIKey, Role: p.Role}
	}
	token, err := a.Signer.Sign(p, service)
	if err != nil {
		return err
	}
	h.Set(identity.Header, token)
	return nil
}

// withoutCookie takes our cookie out, and leaves others.
func withoutCookie(h http.Header) {
	cookies := h["Cookie"]
	if len(cookies) == 0 {
		return
	}
	var kept []string
	for _, line := range cookies {
		for part := range strings.SplitSeq(line, ";") {
			part = strings.TrimSpace(part)
			if name, _, _ := strings.Cut(part, "="); part != "" && strings.TrimSpace(name) != cookieName {
				kept = append(kept, part)
			}
		}
	}
	h.Del("Cookie")
	if len(kept) > 0 {
		h.Set("Cookie", strings.Join(kept, "; "))
	}
}

// Identify implements chassis.Gate: what the routes of the gateway do not ask for
// themselves is asked here.
func (a *Auth) Identify(r *http.Request) (identity.Principal, bool, error) {
	if asksItself(r.URL.Path) {
		return identity.Principal{}, false, nil
	}
	t := Target{Service: Service, Method: r.Method, Path: r.URL.Path}
	if chassis.Open(r) && !showsAny(r) {
		return identity.Principal{}, false, nil
	}
	if chassis.Open(r) {
		t.Path = apiBase + "health" // who shows a credential is told more, and it has to be right
	}
	p, err := a.Admit(r, t)
	return p, err == nil, err
}

// asksItself says whether the handler of a path admits its clients.
func asksItself(path string) bool {
	switch path {
	case apiBase + "health", apiBase + "status", apiBase + "metrics":
		return false
	}
	return strings.HasPrefix(path, apiBase) || strings.HasPrefix(path, wsBase)
}

func showsAny(r *http.Request) bool {
	_, cookie := r.Cookie(cookieName)
	return r.Header["Authorization"] != nil || r.Header[headerAPIKey] != nil || r.Header.Values(identity.Header) != nil || cookie == nil
}

// refusal gives an error of the desk its answer.
func refusal(err error) error {
	var throttled *access.ThrottledError
	var field *access.FieldError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, access.ErrNoCredential):
		return chassis.Unauthorized("this takes a credential: Authorization: Bearer TOKEN of %slogin, or X-API-Key", authBase).WithCode("no_credential")
	case errors.Is(err, access.ErrCredential):
		return chassis.Unauthorized("the credential is not valid, or not any more").WithCode("invalid_credential").WithCause(err)
	case errors.As(err, &throttled):
		return chassis.TooMany(throttled.After, "too many failed logins; wait before the next").WithCode("login_throttled")
	case errors.As(err, &field):
		return chassis.Unprocessable(fieldErrors(err)...)
	case errors.Is(err, access.ErrBusy):
		return chassis.Unavailable(time.Second, "too many logins at once; try again").WithCode("logins_busy").WithCause(err)
	case errors.Is(err, access.ErrNotReady):
		return chassis.Unavailable(time.Second, "users and keys are not loaded yet; try again").WithCode("not_ready").WithCause(err)
	case errors.Is(err, bucket.ErrUnavailable):
		return chassis.Unavailable(2*time.Second, "users and keys cannot be reached at the moment").WithCode("access_unavailable").WithCause(err)
	case errors.Is(err, access.ErrExists), errors.Is(err, access.ErrLastAdmin):
		return chassis.Conflict("%v", err)
	case errors.Is(err, access.ErrUnknown):
		return chassis.NotFound("%v", err)
	}
	return err
}

// fieldErrors are the fields that an error blames, joined ones too.
func fieldErrors(err error) []chassis.FieldError {
	if joined, ok := err.(interface{ Unwrap() []error }); ok { // taken apart here
		var all []chassis.FieldError
		for _, e := range joined.Unwrap() {
			all = append(all, fieldErrors(e)...)
		}
		return all
	}
	var field *access.FieldError
	if errors.As(err, &field) {
		return []chassis.FieldError{chassis.Field("/"+field.Field, "%s", field.Problem)}
	}
	return nil
}
