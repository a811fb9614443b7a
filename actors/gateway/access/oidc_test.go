package access_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/marketprism/marketprism/actors/gateway/access"
	"github.com/marketprism/marketprism/internal/identity"
)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// TestIdentityProvider: tokens of a provider, by its key set.
func TestIdentityProvider(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := ecKey.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	symmetric := []byte("a symmetric key that is published")
	set, err := json.Marshal(map[string]any{"keys": []map[string]string{
		{"kty": "RSA", "kid": "rsa", "alg": "RS256", "use": "sig", "n": b64(rsaKey.N.Bytes()), "e": b64(big.NewInt(int64(rsaKey.E)).Bytes())},
		{"kty": "EC", "kid": "ec", "alg": "ES256", "use": "sig", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])},
		{"kty": "OKP", "kid": "ed", "alg": "EdDSA", "use": "sig", "crv": "Ed25519", "x": b64(public)},
		{"kty": "oct", "kid": "oct", "alg": "HS256", "use": "sig", "k": b64(symmetric)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Write(set)
	}))
	defer keys.Close()
	const issuer = "https://id.example.com/"
	c := cheap()
	c.OIDC = []access.OIDCConfig{{
		Issuer: issuer, Audience: "marketprism-web", JWKSURL: keys.URL, Subject: "sub", RoleClaim: "groups",
		Roles: map[string]string{"desk": "writer", "ops": "operator"},
	}}
	w := open(t, nil, c)
	now := w.clock.Now()
	claims := func(change func(jwt.MapClaims)) jwt.MapClaims {
		c := jwt.MapClaims{
			"iss": issuer, "aud": "marketprism-web", "sub": "u-17", "groups": []string{"staff", "desk", "ops"},
			"iat": now.Unix(), "exp": now.Add(10 * time.Minute).Unix(),
		}
		if change != nil {
			change(c)
		}
		return c
	}
	for name, token := range map[string]string{
		"RS256": sign(t, jwt.SigningMethodRS256, rsaKey, "rsa", claims(nil)),
		"ES256": sign(t, jwt.SigningMethodES256, ecKey, "ec", claims(nil)),
		"EdDSA": sign(t, jwt.SigningMethodEdDSA, edKey, "ed", claims(nil)),
	} {
		p, err := w.who(token)
		if err != nil || p.String() != "user:"+issuer+"#u-17" || p.Role != identity.Operator || p.Expiry.IsZero() {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	der, err := x509.MarshalPKIXPublicKey(&rsaKey.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	kid, secret := w.signingKey()
	own := jwt.MapClaims{"iss": access.Issuer, "aud": access.Audience, "sub": "admin", "sid": "x", "exp": now.Add(time.Hour).Unix()}
	for name, token := range map[string]string{
		"HS256 with the public key as PEM": sign(t, jwt.SigningMethodHS256, asPEM, "rsa", claims(nil)),
		"HS256 with the public key as DER": sign(t, jwt.SigningMethodHS256, der, "rsa", claims(nil)),
		"HS256 with a published key":       sign(t, jwt.SigningMethodHS256, symmetric, "oct", claims(nil)),
		"HS256 with our key in their name": sign(t, jwt.SigningMethodHS256, secret, kid, claims(nil)),
		"RS256 with their key in our name": sign(t, jwt.SigningMethodRS256, rsaKey, "rsa", own),
		"RS256 with their key, by our kid": sign(t, jwt.SigningMethodRS256, rsaKey, kid, own),
		"none":                             sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "rsa", claims(nil)),
		"another kind of key":              sign(t, jwt.SigningMethodES256, ecKey, "rsa", claims(nil)),
		"an unknown key":                   sign(t, jwt.SigningMethodEdDSA, edKey, "unknown", claims(nil)),
		"another audience":                 sign(t, jwt.SigningMethodRS256, rsaKey, "rsa", claims(func(c jwt.MapClaims) { c["aud"] = "billing" })),
		"another issuer":                   sign(t, jwt.SigningMethodRS256, rsaKey, "rsa", claims(func(c jwt.MapClaims) { c["iss"] = "https://evil.example.com/" })),
		"expired":                          sign(t, jwt.SigningMethodRS256, rsaKey, "rsa", claims(func(c jwt.MapClaims) { c["exp"] = now.Add(-time.Hour).Unix() })),
		"without end":                      sign(t, jwt.SigningMethodRS256, rsaKey, "rsa", claims(func(c jwt.MapClaims) { delete(c, "exp") })),
		"without subject":                  sign(t, jwt.SigningMethodRS256, rsaKey, "rsa", claims(func(c jwt.MapClaims) { delete(c, "sub") })),
		"without a role":                   sign(t, jwt.SigningMethodRS256, rsaKey, "rsa", claims(func(c jwt.MapClaims) { c["groups"] = "guests" })),
	} {
		if p, err := w.who(token); !errors.Is(err, access.ErrCredential) {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
}
