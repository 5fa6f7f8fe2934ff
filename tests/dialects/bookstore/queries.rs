//! What buyers ask about their orders.

use events::Channel;
use expect_test::expect;

use super::talk::{Talk, check};

#[tokio::test]
async fn query_order() {
    check(expect![[r#"
        given user sam
        given user bob
        given user ann
        given store sam s
        given book sam s a 100 10
        given order ann s a 1
        wait 1s
        given order ann s a 1
        given order bob s a 1
        given order ann s a 1
        # Newest first, and those of one moment too; the cancelled are left out.
        POST /buyer/query_order ann
        → 200 {"message":"ok","order_list":["<order4>","<order2>","<order1>"]}
        GET /buyer/query_order ann
        → 200 {"message":"ok","order_list":["<order4>","<order2>","<order1>"]}
        POST /buyer/search_order ann
        → 200 {"message":"ok","order_list":["<order4>","<order2>","<order1>"]}
        GET /buyer/search_order /ann {"buyer_id":"ann"}
        → 200 {"message":"ok","order_list":["<order4>","<order2>","<order1>"]}
        given cancelled ann <order2>
        POST /buyer/query_order ann
        → 200 {"message":"ok","order_list":["<order4>","<order1>"]}
        POST /buyer/query_order bob
        → 200 {"message":"ok","order_list":["<order3>"]}
        POST /buyer/query_order sam
        → 200 {"message":"ok","order_list":[]}
        # By an order of one's own, whichever.
        POST /buyer/query_order /ann {"order_id":"<order1>"}
        → 200 {"message":"ok","order_list":["<order4>","<order1>"]}
        GET /buyer/search_order /ann {"order_id":"<order2>"}
        → 200 {"message":"ok","order_list":["<order4>","<order1>"]}
        POST /buyer/query_order /ann {"order_id":"<order3>"}
        → 518 {"message":"invalid order id <order3>","order_list":[]}
        POST /buyer/query_order /ann {"order_id":"x"}
        → 518 {"message":"invalid order id x","order_list":[]}
        POST /buyer/query_order / {"order_id":"<order1>"}
        → 401 {"message":"authorization fail.","order_list":[]}
        POST /buyer/query_order / {"order_id":"x"}
        → 401 {"message":"authorization fail.","order_list":[]}
        # A user who is named goes before an order.
        POST /buyer/query_order bob {"order_id":"<order1>"}
        → 200 {"message":"ok","order_list":["<order3>"]}
        # 530, then 401: for a user that is not there, the token of none and of another.
        POST /buyer/query_order eve/ {"user_id":""}
        → 530 {"message":"user_id must be 1 to 255 bytes long, not 0","order_list":[]}
        POST /buyer/query_order / {"order_id":""}
        → 530 {"message":"order_id must be 1 to 255 bytes long, not 0","order_list":[]}
        POST /buyer/query_order /
        → 530 {"message":"order_id is missing","order_list":[]}
        POST /buyer/query_order eve/
        → 401 {"message":"authorization fail.","order_list":[]}
        POST /buyer/query_order eve/ann
        → 401 {"message":"authorization fail.","order_list":[]}
        POST /buyer/query_order ann/
        → 401 {"message":"authorization fail.","order_list":[]}
        POST /buyer/query_order ann/bob
        → 401 {"message":"authorization fail.","order_list":[]}
        GET /buyer/query_order ann/bob
        → 401 {"message":"authorization fail.","order_list":[]}
    "#]])
    .await;
}

#[tokio::test]
async fn query_order_para() {
    check(expect![[r#"
        given user sam
        given user bob
        given user ann
        given store sam s
        given book sam s a 100 10
        given funds ann 1000
        given order ann s a 1
        given order ann s a 1
        given order ann s a 1
        given order ann s a 1
        given order ann s a 1
        given order ann s a 1
        given cancelled ann <order1>
        given paid ann <order3>
        given paid ann <order4>
        given shipped sam <order4>
        given paid ann <order5>
        given shipped sam <order5>
        given received ann <order5>
        POST /buyer/query_order_para ann {"para":-1}
        → 200 {"message":"ok","order_list":["<order1>"]}
        POST /buyer/query_order_para ann {"para":0}
        → 200 {"message":"ok","order_list":["<order6>","<order2>"]}
        POST /buyer/query_order_para ann {"para":1}
        → 200 {"message":"ok","order_list":["<order3>"]}
        GET /buyer/query_order_para ann {"para":2}
        → 200 {"message":"ok","order_list":["<order4>"]}
        POST /buyer/query_order_para ann {"para":3}
        → 200 {"message":"ok","order_list":["<order5>"]}
        POST /buyer/query_order_para bob {"para":0}
        → 200 {"message":"ok","order_list":[]}
        # As the document has it: query_order_state, by an order of one's own.
        POST /buyer/query_order_state /ann {"order_id":"<order5>","para":0}
        → 200 {"message":"ok","order_list":["<order6>","<order2>"]}
        GET /buyer/query_order_state /ann {"order_id":"<order5>","para":-1}
        → 200 {"message":"ok","order_list":["<order1>"]}
        POST /buyer/query_order_state ann {"para":1}
        → 200 {"message":"ok","order_list":["<order3>"]}
        POST /buyer/query_order_para /ann {"order_id":"<order5>","para":2}
        → 200 {"message":"ok","order_list":["<order4>"]}
        # With a user: 530, then 524, then 401.
        POST /buyer/query_order_para eve/ {"user_id":"","para":4}
        → 530 {"message":"user_id must be 1 to 255 bytes long, not 0","order_list":[]}
        POST /buyer/query_order_para eve/
        → 530 {"message":"para is missing","order_list":[]}
        POST /buyer/query_order_para eve/ {"para":4}
        → 524 {"message":"invalid order state.","order_list":[]}
        POST /buyer/query_order_para eve/ {"para":-2}
        → 524 {"message":"invalid order state.","order_list":[]}
        POST /buyer/query_order_para eve/ {"para":"1"}
        → 524 {"message":"invalid order state.","order_list":[]}
        POST /buyer/query_order_para eve/ {"para":1.0}
        → 524 {"message":"invalid order state.","order_list":[]}
        POST /buyer/query_order_para eve/ {"para":[]}
        → 524 {"message":"invalid order state.","order_list":[]}
        POST /buyer/query_order_para eve/ {"para":9223372036854775808}
        → 524 {"message":"invalid order state.","order_list":[]}
        POST /buyer/query_order_para eve/ {"para":1}
        → 401 {"message":"authorization fail.","order_list":[]}
        POST /buyer/query_order_para eve/ann {"para":1}
        → 401 {"message":"authorization fail.","order_list":[]}
        POST /buyer/query_order_para ann/ {"para":1}
        → 401 {"message":"authorization fail.","order_list":[]}
        POST /buyer/query_order_para ann/bob {"para":1}
        → 401 {"message":"authorization fail.","order_list":[]}
        POST /buyer/query_order_para /ann {"para":1}
        → 530 {"message":"user_id is missing","order_list":[]}
        POST /buyer/query_order_para /ann {"buyer_id":"ann","para":1}
        → 530 {"message":"user_id is missing","order_list":[]}
        POST /buyer/query_order_state bob/ann {"para":7}
        → 524 {"message":"invalid order state.","order_list":[],"order_state":null}
        POST /buyer/query_order_state bob/ann {"para":1}
        → 401 {"message":"authorization fail.","order_list":[],"order_state":null}
        # Without: 530, then 401, then 524, then 518.
        POST /buyer/query_order_state / {"order_id":"","para":7}
        → 530 {"message":"order_id must be 1 to 255 bytes long, not 0","order_list":[],"order_state":null}
        POST /buyer/query_order_state / {"para":7}
        → 530 {"message":"order_id is missing","order_list":[],"order_state":null}
        POST /buyer/query_order_state / {"order_id":"x","para":7}
        → 401 {"message":"authorization fail.","order_list":[],"order_state":null}
        POST /buyer/query_order_state /ann {"order_id":"x","para":7}
        → 524 {"message":"invalid order state.","order_list":[],"order_state":null}
        POST /buyer/query_order_state /ann {"order_id":"x","para":1}
        → 518 {"message":"invalid order id x","order_list":[],"order_state":null}
        POST /buyer/query_order_state /bob {"order_id":"<order1>","para":1}
        → 518 {"message":"invalid order id <order1>","order_list":[],"order_state":null}
        POST /buyer/query_order_para / {"order_id":"x","para":7}
        → 401 {"message":"authorization fail.","order_list":[]}
        # No para is no para.
        POST /buyer/query_order_state /ann {"order_id":"<order1>","para":null}
        → 200 {"message":"ok","order_state":-1}
        POST /buyer/query_order_para ann {"para":null}
        → 530 {"message":"para is missing","order_list":[]}
    "#]])
    .await;
}

#[tokio::test]
async fn query_order_state() {
    check(expect![[r#"
        given user sam
        given user bob
        given user ann
        given store sam s
        given book sam s a 100 10
        given order ann s a 1
        POST /buyer/query_order_state /ann {"order_id":"<order1>"}
        → 200 {"message":"ok","order_state":0}
        GET /buyer/query_order_state /ann {"order_id":"<order1>"}
        → 200 {"message":"ok","order_state":0}
        # With a user too: that user's order, and that user's token.
        POST /buyer/query_order_state ann {"order_id":"<order1>"}
        → 200 {"message":"ok","order_state":0}
        POST /buyer/query_order_state bob {"order_id":"<order1>"}
        → 518 {"message":"invalid order id <order1>","order_list":[],"order_state":null}
        POST /buyer/query_order_state bob/ann {"order_id":"<order1>"}
        → 401 {"message":"authorization fail.","order_list":[],"order_state":null}
        POST /buyer/query_order_state ann/bob {"order_id":"<order1>"}
        → 401 {"message":"authorization fail.","order_list":[],"order_state":null}
        POST /buyer/query_order_state ann/ {"order_id":"<order1>"}
        → 401 {"message":"authorization fail.","order_list":[],"order_state":null}
        POST /buyer/query_order_state eve/ann {"order_id":"<order1>"}
        → 401 {"message":"authorization fail.","order_list":[],"order_state":null}
        # Only user_id names a user here.
        POST /buyer/query_order_state /ann {"buyer_id":"bob","order_id":"<order1>"}
        → 200 {"message":"ok","order_state":0}
        # Without: 530, then 401, then 518.
        POST /buyer/query_order_state / {"order_id":""}
        → 530 {"message":"order_id must be 1 to 255 bytes long, not 0","order_list":[],"order_state":null}
        POST /buyer/query_order_state / {"order_id":7}
        → 530 {"message":"order_id must be a text","order_list":[],"order_state":null}
        POST /buyer/query_order_state /
        → 530 {"message":"order_id is missing","order_list":[],"order_state":null}
        POST /buyer/query_order_state / {"order_id":"<order1>"}
        → 401 {"message":"authorization fail.","order_list":[],"order_state":null}
        POST /buyer/query_order_state / {"order_id":"x"}
        → 401 {"message":"authorization fail.","order_list":[],"order_state":null}
        POST /buyer/query_order_state /ann {"order_id":"x"}
        → 518 {"message":"invalid order id x","order_list":[],"order_state":null}
        POST /buyer/query_order_state /bob {"order_id":"<order1>"}
        → 518 {"message":"invalid order id <order1>","order_list":[],"order_state":null}
        POST /buyer/query_order_state /sam {"order_id":"<order1>"}
        → 518 {"message":"invalid order id <order1>","order_list":[],"order_state":null}
        # An id is written in one way only.
        POST /buyer/query_order_state /ann {"order_id":" <order1>"}
        → 518 {"message":"invalid order id  <order1>","order_list":[],"order_state":null}
        POST /buyer/query_order_state /ann {"order_id":"{<order1>}"}
        → 518 {"message":"invalid order id {<order1>}","order_list":[],"order_state":null}
        POST /buyer/query_order_state /ann {"order_id":"00000000-0000-0000-0000-000000000000"}
        → 518 {"message":"invalid order id 00000000-0000-0000-0000-000000000000","order_list":[],"order_state":null}
        given cancelled ann <order1>
        POST /buyer/query_order_state /ann {"order_id":"<order1>"}
        → 200 {"message":"ok","order_state":-1}
    "#]])
    .await;
}

#[tokio::test]
async fn query_order_detail() {
    check(expect![[r#"
        given user sam
        given user bob
        given user ann
        given store sam s
        given book sam s a 100 10
        given book sam s b 30 10
        wait 12s
        POST /buyer/new_order ann {"store_id":"s","books":[{"id":"b","count":2},{"id":"a","count":1}]}
        → 200 {"message":"ok","order_id":"<order1>"}
        wait 60s
        POST /buyer/query_order_detail /ann {"order_id":"<order1>"}
        → 200 {"message":"ok","order_detail_list":[{"book_id":"b","count":2,"create_time":1700000012,"order_id":"<order1>","price":30,"state":0,"store_id":"s"},{"book_id":"a","count":1,"create_time":1700000012,"order_id":"<order1>","price":100,"state":0,"store_id":"s"}]}
        GET /buyer/query_order_detail ann {"order_id":"<order1>"}
        → 200 {"message":"ok","order_detail_list":[{"book_id":"b","count":2,"create_time":1700000012,"order_id":"<order1>","price":30,"state":0,"store_id":"s"},{"book_id":"a","count":1,"create_time":1700000012,"order_id":"<order1>","price":100,"state":0,"store_id":"s"}]}
        given cancelled ann <order1>
        POST /buyer/query_detail_order /ann {"order_id":"<order1>"}
        → 200 {"message":"ok","order_detail_list":[{"book_id":"b","count":2,"create_time":1700000012,"order_id":"<order1>","price":30,"state":-1,"store_id":"s"},{"book_id":"a","count":1,"create_time":1700000012,"order_id":"<order1>","price":100,"state":-1,"store_id":"s"}]}
        GET /buyer/query_detail_order /ann {"order_id":"<order1>"}
        → 200 {"message":"ok","order_detail_list":[{"book_id":"b","count":2,"create_time":1700000012,"order_id":"<order1>","price":30,"state":-1,"store_id":"s"},{"book_id":"a","count":1,"create_time":1700000012,"order_id":"<order1>","price":100,"state":-1,"store_id":"s"}]}
        # 530, then 401, then 518.
        POST /buyer/query_order_detail / {"order_id":""}
        → 530 {"message":"order_id must be 1 to 255 bytes long, not 0","order_detail_list":[]}
        POST /buyer/query_order_detail /
        → 530 {"message":"order_id is missing","order_detail_list":[]}
        POST /buyer/query_order_detail / {"order_id":"x"}
        → 401 {"message":"authorization fail.","order_detail_list":[]}
        POST /buyer/query_order_detail / {"order_id":"<order1>"}
        → 401 {"message":"authorization fail.","order_detail_list":[]}
        POST /buyer/query_order_detail /ann {"order_id":"x"}
        → 518 {"message":"invalid order id x","order_detail_list":[]}
        POST /buyer/query_order_detail /bob {"order_id":"<order1>"}
        → 518 {"message":"invalid order id <order1>","order_detail_list":[]}
        POST /buyer/query_order_detail /sam {"order_id":"<order1>"}
        → 518 {"message":"invalid order id <order1>","order_detail_list":[]}
        POST /buyer/query_order_detail ann/bob {"order_id":"<order1>"}
        → 401 {"message":"authorization fail.","order_detail_list":[]}
        POST /buyer/query_order_detail bob {"order_id":"<order1>"}
        → 518 {"message":"invalid order id <order1>","order_detail_list":[]}
        POST /buyer/query_detail_order /bob {"order_id":"<order1>"}
        → 518 {"message":"invalid order id <order1>","order_detail_list":[]}
    "#]])
    .await;
}

#[tokio::test]
async fn a_site_s_own_phases_are_shown_and_found_as_the_states_they_are() {
    let own = docket::builtin::builtin_lifecycle(&Channel::new("bookstore").unwrap()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bookstore.toml");
    std::fs::write(path, own.replace("\"Paid\"", "\"Preparing\"")).unwrap();
    let mut talk = Talk::start(&format!("lifecycles = {:?}", folder.path())).await;
    talk.check(expect![[r#"
        given user sam
        given user ann
        given store sam s
        given book sam s a 100 10
        given funds ann 1000
        given order ann s a 1
        given paid ann <order1>
        POST /buyer/query_order_state ann {"order_id":"<order1>"}
        → 200 {"message":"ok","order_state":1}
        POST /buyer/query_order_para ann {"para":1}
        → 200 {"message":"ok","order_list":["<order1>"]}
        POST /buyer/query_order ann
        → 200 {"message":"ok","order_list":["<order1>"]}
        POST /seller/deliver_book sam {"order_id":"<order1>"}
        → 200 {"message":"ok"}
        POST /buyer/query_order_para ann {"para":2}
        → 200 {"message":"ok","order_list":["<order1>"]}
    "#]])
        .await;
}
