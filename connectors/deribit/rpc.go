package deribit

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/marketprism/marketprism/internal/market"
)

// rpcRequest is what a client says.
// https://docs.deribit.com/articles/json-rpc-overview
type rpcRequest struct {
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	ID     json.RawMessage `json:"id"`
}

// The methods of the exchange's side, and the errors that it answers with.
const (
	methodSubscribe   = "public/subscribe"
	methodUnsubscribe = "public/unsubscribe"

	rpcParse    = -32700
	rpcNoMethod = -32601
	rpcParams   = -32602
)

// channels are those that a request is about; asks is false for one that is about
// something else.
func (r *rpcRequest) channels() (asks bool, channels []string) {
	if r.Method != methodSubscribe && r.Method != methodUnsubscribe {
		return false, nil
	}
	var params struct {
		Channels []string `json:"channels"`
	}
	// What is no list of channels asks for none, and is granted none.
	if json.Unmarshal(r.Params, &params) != nil {
		return true, nil
	}
	return true, params.Channels
}

// answer is the result of a request that keeps the connection alive.
func (r *rpcRequest) answer() (result []byte, ok bool) {
	switch r.Method {
	case "public/set_heartbeat", "public/disable_heartbeat":
		return []byte(`"ok"`), true
	case "public/test", "public/hello":
		return []byte(`{"version":"1.2.26"}`), true
	}
	return nil, false
}

// rpcHead begins an answer; it repeats the number of the request, if it had one.
func rpcHead(id json.RawMessage) []byte {
	out := []byte(`{"jsonrpc":"2.0"`)
	if len(id) > 0 && !bytes.Equal(id, []byte("null")) {
		out = append(append(out, `,"id":`...), id...)
	}
	return out
}

// rpcTail ends an answer.
const rpcTail = `,"usIn":0,"usOut":0,"usDiff":0,"testnet":false}`

func rpcResult(id json.RawMessage, result []byte) []byte {
	out := append(append(rpcHead(id), `,"result":`...), result...)
	return append(out, rpcTail...)
}

// rpcResultAt is [rpcResult] with the exchange's time, in µs.
func rpcResultAt(id, result []byte, now int64) []byte {
	out := append(append(rpcHead(id), `,"result":`...), result...)
	out = strconv.AppendInt(append(out, `,"usIn":`...), now/1e3-50, 10)
	out = strconv.AppendInt(append(out, `,"usOut":`...), now/1e3, 10)
	return append(out, `,"usDiff":50,"testnet":false}`...)
}

func rpcError(id json.RawMessage, code int64, message string) []byte {
	out := strconv.AppendInt(append(rpcHead(id), `,"error":{"code":`...), code, 10)
	out = market.AppendJSONString(append(out, `,"message":`...), message)
	return append(append(out, '}'), rpcTail...)
}

// rpcList is a list of words.
func rpcList(words []string) []byte {
	out := []byte{'['}
	for i, w := range words {
		if i > 0 {
			out = append(out, ',')
		}
		out = market.AppendJSONString(out, w)
	}
	return append(out, ']')
}

// appendFloat writes a number as Deribit does: whole ones end in .0.
func appendFloat(dst []byte, d market.Decimal) []byte {
	dst = d.AppendText(dst)
	if d.Scale() == 0 {
		dst = append(dst, ".0"...)
	}
	return dst
}
